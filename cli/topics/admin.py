"""Reads and changes topics through Kafka's admin protocol; every wait is bounded."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    NodeNotReadyError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)

from headrace.cli.topics.errors import KafkaDenied, KafkaRefused, KafkaUnreachable
from headrace.cli.topics.plan import Action, Change, Existing
from headrace.schemas.config.clients import client_options
from headrace.schemas.config.model import KafkaConfig
from headrace.schemas.topics import TopicSpec

Entry = dict[str, Any]  # a part of an answer, by the field names of Kafka's protocol

STEP_LIMIT_S = 30.0
LEADERS_PAUSE_S = 0.05
SET_ON_TOPIC = 1  # the source of a value that was set on the topic itself (KIP-226)


class TopicAdmin:
    """The few questions and orders that `plan` and `apply` need; see `connect`."""

    def __init__(self, client: AIOKafkaAdminClient) -> None:
        self._client = client

    async def existing(self, names: Iterable[str]) -> dict[str, Existing]:
        """Those of `names` that exist, with their effective settings."""
        layouts = await self._layouts(set(names))
        configs = await self._configs(layouts)
        return {
            name: Existing(
                partitions=len(partitions),
                replication=len(partitions[0]["replicas"]),
                config={setting: value for setting, (value, _) in configs[name].items()},
            )
            for name, partitions in layouts.items()
        }

    async def partitions(self, names: Iterable[str]) -> dict[str, int]:
        """Those of `names` that exist, with their numbers of partitions."""
        return {name: len(found) for name, found in (await self._layouts(set(names))).items()}

    async def delete_before(self, topic: str, offsets: Mapping[int, int]) -> None:
        """Have Kafka drop what stands before these offsets, partition by partition."""
        wanted = {
            TopicPartition(topic, partition): RecordsToDelete(before_offset=offset)
            for partition, offset in offsets.items()
        }
        await self._client.delete_records(wanted, timeout_ms=round(STEP_LIMIT_S * 1000))

    async def apply(self, specs: Sequence[TopicSpec], changes: Sequence[Change]) -> None:
        """Carry out the pending changes and return when every topic of `specs` has leaders."""
        by_name = {spec.name: spec for spec in specs}
        created = [by_name[one.topic] for one in changes if one.action is Action.CREATE]
        if created:
            await self._create(created)
        grown = {one.topic: int(one.wanted) for one in changes if one.action is Action.GROW}
        if grown:
            wanted = {name: NewPartitions(total_count=count) for name, count in grown.items()}
            await self._client.create_partitions(wanted)
        settings: dict[str, dict[str, str]] = {}
        for one in changes:
            if one.action is Action.SET:
                settings.setdefault(one.topic, {})[one.setting] = one.wanted
        if settings:
            await self._set(settings)
        await self._leaders({spec.name: spec.partitions for spec in specs})

    async def _layouts(self, names: set[str]) -> dict[str, list[Entry]]:
        """Topic -> its partitions, each with `leader` and `replicas`."""
        # All topics are listed: asking for one that is missing could create it.
        found = await self._client.describe_topics()
        return {one["topic"]: one["partitions"] for one in found if one["topic"] in names}

    async def _configs(self, names: Iterable[str]) -> dict[str, dict[str, tuple[str, int]]]:
        """Topic -> setting -> (value, source)."""
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        configs: dict[str, dict[str, tuple[str, int]]] = {}
        for response in await self._client.describe_configs(resources) if resources else ():
            for one in response.to_object()["resources"]:
                _raise_for(one, one["resource_name"])
                configs[one["resource_name"]] = {
                    entry["config_names"]: (entry["config_value"], entry["config_source"])
                    for entry in one["config_entries"]
                }
        return configs

    async def _create(self, specs: Iterable[TopicSpec]) -> None:
        topics = [
            NewTopic(spec.name, spec.partitions, spec.replication, topic_configs=spec.config)
            for spec in specs
        ]
        response = await self._client.create_topics(topics)
        for one in response.to_object()["topic_errors"]:
            # Somebody else may apply at this moment.
            if one["error_code"] != TopicAlreadyExistsError.errno:
                _raise_for(one, one["topic"])

    async def _set(self, settings: Mapping[str, Mapping[str, str]]) -> None:
        """AlterConfigs replaces all that was set on a topic: send what is there along."""
        current = await self._configs(settings)
        resources = []
        for name, wanted in settings.items():
            kept = {
                k: value for k, (value, source) in current[name].items() if source == SET_ON_TOPIC
            }
            resources.append(ConfigResource(ConfigResourceType.TOPIC, name, {**kept, **wanted}))
        for response in await self._client.alter_configs(resources):
            for one in response.to_object()["resources"]:
                _raise_for(one, one["resource_name"])

    async def _leaders(self, partitions: Mapping[str, int]) -> None:
        """A created topic is of use once each partition has a leader that clients can see."""
        while True:
            layouts = await self._layouts(set(partitions))
            led = {
                name: sum(one["leader"] != -1 for one in layout) for name, layout in layouts.items()
            }
            if all(led.get(name, 0) >= count for name, count in partitions.items()):
                return
            await asyncio.sleep(LEADERS_PAUSE_S)


@asynccontextmanager
async def connect(kafka: KafkaConfig) -> AsyncIterator[TopicAdmin]:
    """A connected admin; leaving closes it. The whole stay may take STEP_LIMIT_S.

    Errors: `KafkaUnreachable`, `KafkaDenied`, `KafkaRefused`.
    """
    client = AIOKafkaAdminClient(**client_options(kafka))
    with troubles_told(kafka):
        try:
            async with asyncio.timeout(STEP_LIMIT_S):
                await client.start()
                yield TopicAdmin(client)
        finally:
            await client.close()


@asynccontextmanager
async def bounded_write() -> AsyncIterator[None]:
    """Bound a write, and what shows that it counts, by STEP_LIMIT_S. Errors: `TimeoutError`, which says that
    it may have been written all the same.
    """
    try:
        async with asyncio.timeout(STEP_LIMIT_S):
            yield
    except (KafkaConnectionError, KafkaTimeoutError, NodeNotReadyError, TimeoutError) as error:
        message = f"{str(error) or 'time ran out'}; what was being written may still take effect"
        raise TimeoutError(message) from error


@contextmanager
def troubles_told(kafka: KafkaConfig) -> Iterator[None]:
    """What a Kafka client raises within, as `KafkaUnreachable`, `KafkaDenied` or `KafkaRefused`."""
    servers = ", ".join(kafka.bootstrap_servers)
    try:
        yield
    except (TopicAuthorizationFailedError, ClusterAuthorizationFailedError) as error:
        message = f"Kafka denies this to {kafka.security.username or 'an anonymous client'}"
        raise KafkaDenied(f"{message}: {error}") from error
    except (KafkaConnectionError, KafkaTimeoutError, NodeNotReadyError, TimeoutError) as error:
        message = f"No answer from Kafka at {servers}"
        raise KafkaUnreachable(f"{message}: {str(error) or 'time ran out'}") from error
    except KafkaError as error:
        raise KafkaRefused(str(error)) from error


def _raise_for(answer: Entry, topic: str) -> None:
    """Raise what one entry of an answer says; nothing when it says that all is well."""
    if answer["error_code"]:
        kind: type[KafkaError] = for_code(answer["error_code"])
        raise kind(f"{topic}: {answer['error_message'] or 'no reason given'}")
