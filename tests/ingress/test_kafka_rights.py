"""A Kafka that lets an ingress in but denies it something: readiness says so by a stable code."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import httpx
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from headrace.cli.localkafka import LocalKafka
from headrace.schemas.topics import Topics
from support.eventually import eventually
from support.serving import create_topics, ingress_config, serving, url

PREFIX = "acl."
PASSWORD = "wonderland"
PROPERTIES = {
    "listener.security.protocol.map": "CLIENT:SASL_PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "listener.name.client.sasl.enabled.mechanisms": "SCRAM-SHA-512",
    "listener.name.client.scram-sha-512.sasl.jaas.config": (
        "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    ),
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",
}


def allow(bootstrap: str, rights: Iterable[tuple[str, AclOperation]]) -> None:
    """Give alice rights on topics."""
    bindings = [
        AclBinding(
            ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, "User:alice", "*",
            operation, AclPermissionType.ALLOW,
        )
        for topic, operation in rights
    ]  # fmt: skip
    admin = AdminClient({"bootstrap.servers": bootstrap})  # its futures end with it
    for future in admin.create_acls(bindings).values():
        future.result()


async def test_a_missing_right_is_told_by_its_code_until_it_is_granted(tmp_path: Path) -> None:
    async with LocalKafka(
        tmp_path, properties=PROPERTIES, scram_users={"alice": PASSWORD}
    ) as kafka:
        await create_topics(ingress_config(kafka.internal_bootstrap, PREFIX))
        security = {
            "protocol": "SASL_PLAINTEXT",
            "mechanism": "SCRAM-SHA-512",
            "username": "alice",
            "password": PASSWORD,
            "allow_insecure": True,
        }
        config = ingress_config(kafka.bootstrap, PREFIX, security=security)
        names = Topics(PREFIX)
        indexed = (names.status, names.claims)
        writable = [*(names.requests(lane) for lane in config.lanes), names.control, *indexed]
        rights = [
            *((topic, AclOperation.WRITE) for topic in writable),
            *((topic, AclOperation.READ) for topic in (names.replies, names.results, *indexed)),
        ]
        async with serving(config) as ingress, httpx.AsyncClient(base_url=url(ingress)) as http:

            async def told(code: str) -> bool:
                return (await http.get("/readyz")).json()["status"] == code

            for right in rights:
                await eventually(lambda: told("kafka_acl_denied"))
                await asyncio.to_thread(allow, kafka.internal_bootstrap, [right])
            await eventually(lambda: told("ok"))
