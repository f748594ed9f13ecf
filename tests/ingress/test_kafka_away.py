"""Kafka away: at start, under load, and back again. A broker of its own, which is killed."""

import asyncio
from pathlib import Path

import httpx
from aiokafka.admin import AIOKafkaAdminClient

from headrace.cli.localkafka import LocalKafka, free_ports
from headrace.ingress.app import Ingress
from headrace.schemas.config.model import Config
from headrace.schemas.topics import Topics
from support.answering import AnsweringDispatcher, answered
from support.eventually import eventually
from support.serving import MODEL, create_topics, ingress_config, serving, url

BODY = {"model": MODEL, "messages": []}
PATH = "/v1/chat/completions"


def is_unavailable(response: httpx.Response) -> bool:
    return (
        response.status_code == 503
        and response.json()["error"]["code"] == "kafka_unavailable"
        and 0 < int(response.headers["retry-after"]) <= 120
        and response.headers["x-should-retry"] == "true"
    )


async def ready(http: httpx.AsyncClient) -> bool:
    return (await http.get("/readyz")).status_code == 200


def client(ingress: Ingress) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url(ingress), timeout=40)


async def test_kafka_away_at_start_is_told_and_healed_from(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    config = ingress_config(f"127.0.0.1:{port}", "away.")
    async with serving(config) as ingress, client(ingress) as http:
        assert (await http.get("/livez")).status_code == 200
        response = await http.get("/readyz?verbose")
        assert response.status_code == 503
        await eventually(lambda: _unavailable(http))
        assert is_unavailable(await http.post(PATH, json=BODY))
        async with LocalKafka(tmp_path, port=port):
            await create_topics(config)
            await eventually(lambda: ready(http))
            async with AnsweringDispatcher(config, lambda request: [answered(request, b"{}")]):
                assert (await http.post(PATH, json=BODY)).status_code == 200


async def _unavailable(http: httpx.AsyncClient) -> bool:
    return is_unavailable(await http.post(PATH, json=BODY))


async def test_kafka_killed_under_load_gives_503s_and_no_false_answers(tmp_path: Path) -> None:
    async with LocalKafka(tmp_path) as kafka:
        config = ingress_config(kafka.bootstrap, "away.")
        await create_topics(config)
        seen: list[httpx.Response] = []

        async def ask(http: httpx.AsyncClient) -> None:
            seen.append(await http.post(PATH, json=BODY))

        async with serving(config) as ingress, client(ingress) as http:
            await eventually(lambda: ready(http))
            async with AnsweringDispatcher(
                config, lambda request: [answered(request, b"{}")]
            ) as late:
                await asyncio.gather(*(ask(http) for _ in range(20)))
                killing = asyncio.create_task(kafka.node.kill())
                asking = []
                for _ in range(100):
                    asking.append(asyncio.create_task(ask(http)))
                    await asyncio.sleep(0.02)
                await killing
                await eventually(lambda: seen and is_unavailable(seen[-1]))
                assert not await ready(http)
                await kafka.node.start()
                await eventually(lambda: ready(http))
                # Those that Kafka had acked before it died are answered now.
                await asyncio.gather(*asking)
                assert (await http.post(PATH, json=BODY)).status_code == 200
                refused = {r.headers["x-request-id"] for r in seen if is_unavailable(r)}
                assert refused
                assert all(r.content == b"{}" for r in seen if r.status_code == 200)
                assert all(r.status_code == 200 or is_unavailable(r) for r in seen)
                written = {request.id for request in late.requests}
                await eventually(lambda: written & refused <= set(late.cancelled))


async def test_a_missing_topic_is_told_by_its_code_and_healed_from(
    kafka: LocalKafka, topic_prefix: str
) -> None:
    config = ingress_config(kafka.bootstrap, topic_prefix)
    async with serving(config) as ingress, client(ingress) as http:

        async def told(code: str) -> bool:
            return code in (await http.get("/readyz?verbose")).text

        await eventually(lambda: told("kafka_topic_missing"))
        response = await http.post(PATH, json=BODY)
        assert (response.status_code, response.json()["error"]["code"]) == (
            503,
            "kafka_topic_missing",
        )
        await create_topics(config)
        await eventually(lambda: ready(http))
        await _delete(config, Topics(topic_prefix).replies)
        await eventually(lambda: told("kafka_topic_missing"))


async def _delete(config: Config, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=list(config.kafka.bootstrap_servers))
    await admin.start()
    try:
        await admin.delete_topics([topic])
    finally:
        await admin.close()
