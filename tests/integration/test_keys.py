"""One idempotency key is one upstream call, whichever replica its requests come to: by the upstream's log."""

import asyncio
import json
import signal
import uuid
from collections.abc import AsyncIterator
from typing import NamedTuple

import httpx
import openai
import pytest
import pytest_asyncio

from headrace.cli.localkafka import LocalKafka
from headrace.ingress.keys.digest import request_digest
from headrace.schemas import claims, replies
from headrace.schemas.claims import Claim
from headrace.schemas.names import DEFAULT_TENANT, Endpoint, InstanceId, LaneName, ModelName
from headrace.schemas.status import indexed_partition
from headrace.schemas.topics import INBOX_PARTITIONS
from support.eventually import eventually
from support.installation import Installation, chat, installation
from support.replicas import Replica, replica

pytestmark = pytest.mark.asyncio(loop_scope="session")

MANY = 100
JSON = {"content-type": "application/json"}


class Pair(NamedTuple):
    """Two ingresses of one installation."""

    running: Installation
    second: Replica
    http: httpx.AsyncClient

    @property
    def urls(self) -> tuple[str, str]:
        return self.running.url, self.second.url

    async def ask(
        self, url: str, body: bytes, key: str = "", path: str = "chat/completions", **headers: str
    ) -> httpx.Response:
        told = JSON | {name.replace("_", "-"): value for name, value in headers.items()}
        if key:
            told["idempotency-key"] = key
        return await self.http.post(f"{url}/{path}", content=body, headers=told)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pair(kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    folder = tmp_path_factory.mktemp("keys")
    overlay = {
        "ingress": {"disconnect_grace_s": 5, "keepalive_s": 0.5},
        "tenants": {"default": {"inbox": True}},
    }
    limits = httpx.Limits(max_connections=None)
    async with (
        installation(kafka.bootstrap, folder, models={"small": {}}, overlay=overlay) as running,
        replica(running) as second,
        httpx.AsyncClient(timeout=60, limits=limits, trust_env=False) as http,
    ):
        yield Pair(running, second, http)


def fresh() -> str:
    return f"key-{uuid.uuid4()}"


async def test_a_hundred_requests_with_one_key_are_one_call_and_equal_answers(pair: Pair) -> None:
    body, key = chat(f"hundred {fresh()}", user="latency=500"), fresh()
    asked = (pair.ask(pair.urls[number % 2], body, key) for number in range(MANY))
    answers = await asyncio.gather(*asked)
    assert {one.status_code for one in answers} == {200}
    assert len({one.content for one in answers}) == 1
    assert len({one.headers["x-request-id"] for one in answers}) == 1
    replayed = [one for one in answers if one.headers.get("idempotency-replayed") == "true"]
    assert len(replayed) == MANY - 1
    assert len(pair.running.calls_with(body)) == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("completions", {"model": "small", "prompt": "once"}),
        ("embeddings", {"model": "small", "input": "once"}),
    ],
)
async def test_every_endpoint_knows_keys(pair: Pair, path: str, body: dict[str, str]) -> None:
    content, key = json.dumps(body | {"user": fresh()}).encode(), fresh()
    first = await pair.ask(pair.urls[0], content, key, path)
    second = await pair.ask(pair.urls[1], content, key, path)
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.content == second.content
    assert len(pair.running.calls_with(content)) == 1


async def test_the_same_key_with_another_body_is_refused_on_every_replica(pair: Pair) -> None:
    key, other = fresh(), chat(f"other {fresh()}")
    assert (await pair.ask(pair.urls[0], chat("first"), key)).status_code == 200
    for url in pair.urls:
        refused = await pair.ask(url, other, key)
        assert refused.status_code == 422
        assert refused.json()["error"]["code"] == "idempotency_mismatch"
    assert pair.running.calls_with(other) == []


async def test_a_stream_that_is_asked_for_again_gets_the_same_bytes(pair: Pair) -> None:
    body, key = chat(f"stream {fresh()}", stream=True, user="tokens=30;tps=60"), fresh()
    first, early = await asyncio.gather(
        pair.ask(pair.urls[0], body, key), pair.ask(pair.urls[1], body, key)
    )
    late = await pair.ask(pair.urls[1], body, key)
    texts = [without_comments(one.content) for one in (first, early, late)]
    assert texts[0].endswith(b"data: [DONE]\n\n")
    assert texts[0] == texts[1] == texts[2]
    assert late.headers["idempotency-replayed"] == "true"
    assert len(pair.running.calls_with(body)) == 1


def without_comments(content: bytes) -> bytes:
    events = content.split(b"\n\n")
    return b"\n\n".join(event for event in events if not event.startswith(b":"))


async def test_a_job_that_is_submitted_again_is_the_same_job(pair: Pair) -> None:
    body, key = chat(f"job {fresh()}"), fresh()
    first = await pair.ask(pair.urls[0], body, key, prefer="respond-async")
    second = await pair.ask(pair.urls[1], body, key, prefer="respond-async")
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["id"] == second.json()["id"]

    async def ended() -> bool:
        shown = await pair.http.get(f"{pair.urls[1]}/jobs/{first.json()['id']}")
        return bool(shown.json()["state"] == "completed")

    await eventually(ended)
    assert len(pair.running.calls_with(body)) == 1


async def test_a_key_outlives_the_ingress_that_knew_it_first(pair: Pair) -> None:
    body, key = chat(f"killed {fresh()}", user="latency=3000"), fresh()
    async with replica(pair.running, "third") as third:
        asking = asyncio.create_task(pair.ask(third.url, body, key))
        await eventually(lambda: pair.running.calls_with(body))
        third.process.signal(signal.SIGKILL)
        with pytest.raises(httpx.TransportError):
            await asking
    answer = await pair.ask(pair.urls[0], body, key)
    assert answer.status_code == 200
    assert answer.headers["idempotency-replayed"] == "true"
    assert len(pair.running.calls_with(body)) == 1


async def test_a_winner_that_died_before_it_wrote_its_request_is_stood_in_for(pair: Pair) -> None:
    body, key = chat(f"silent {fresh()}"), fresh()
    claim = Claim(
        tenant=DEFAULT_TENANT,
        key=key,
        digest=request_digest(Endpoint.CHAT, body),
        lane=LaneName("standard"),
        model=ModelName("small"),
        instance=InstanceId("dead"),
        deadline_ms=0,
    )
    name = claims.claim_key(DEFAULT_TENANT, key)
    partition, offset = await pair.running.produce(
        pair.running.topics.claims,
        claims.encode(claim),
        key=name,
        partition=indexed_partition(name),
    )
    answers = await asyncio.gather(*(pair.ask(url, body, key) for url in pair.urls * 2))
    assert {one.status_code for one in answers} == {200}
    claimed = claims.claimed_id(partition, offset)
    assert {one.headers["x-request-id"] for one in answers} == {claimed}
    assert len(pair.running.calls_with(body)) == 1


async def test_a_keyed_request_is_cancelled_only_when_nobody_came_back(pair: Pair) -> None:
    body, key = chat(f"left {fresh()}", user="latency=4000"), fresh()
    await leave(pair, pair.urls[0], body, key)
    assert (await pair.ask(pair.urls[1], body, key)).status_code == 200
    (call,) = pair.running.calls_with(body)
    assert call.finished is not None

    alone, other = chat(f"left alone {fresh()}", user="latency=600000"), fresh()
    await leave(pair, pair.urls[0], alone, other)
    ended = await eventually(lambda: pair.running.calls_with(alone)[0].finished)
    assert ended.outcome == "client_disconnected"


async def test_a_client_that_leaves_takes_nothing_from_who_waits_with_it(pair: Pair) -> None:
    body, key = chat(f"shared {fresh()}", user="latency=5000"), fresh()
    leaving = asyncio.create_task(leave(pair, pair.urls[0], body, key))
    await eventually(lambda: pair.running.calls_with(body))
    staying = asyncio.create_task(pair.ask(pair.urls[1], body, key))
    await leaving
    assert (await staying).status_code == 200
    assert len(pair.running.calls_with(body)) == 1


async def leave(pair: Pair, url: str, body: bytes, key: str) -> None:
    """Ask, and drop the connection once the upstream has the call."""
    async with httpx.AsyncClient(timeout=60, trust_env=False) as leaving:
        headers = JSON | {"idempotency-key": key}
        asking = asyncio.create_task(
            leaving.post(f"{url}/chat/completions", content=body, headers=headers)
        )
        await eventually(lambda: pair.running.calls_with(body))
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


async def test_the_official_client_sends_keys_as_any_header(pair: Pair) -> None:
    key, text = fresh(), f"official {fresh()}"
    found = []
    for url in pair.urls:
        async with openai.AsyncOpenAI(base_url=url, api_key="any", max_retries=0) as client:
            found.append(
                await client.chat.completions.create(
                    model="small",
                    messages=[{"role": "user", "content": text}],
                    extra_headers={"Idempotency-Key": key},
                )
            )
    assert found[0] == found[1]


async def test_records_of_an_inbox_share_a_key_with_http(pair: Pair) -> None:
    running = pair.running
    body, key = chat(f"inbox {fresh()}", user="latency=300"), fresh()
    answers = await running.topic(f"{running.topics.prefix}out.default.{uuid.uuid4().hex}")
    headers = {
        "headrace-idempotency-key": key.encode(),
        "headrace-reply-topic": answers.encode(),
    }
    for name in (b"one", b"two"):
        await running.produce(
            running.topics.inbox(DEFAULT_TENANT), body, headers=headers | {"ce_id": name}
        )
    records = await running.read(answers, 2, within_s=40)
    told = [replies.decode(record.value, record.headers) for record in records]
    over_http = await pair.ask(pair.urls[1], body, key)
    assert {reply.id for reply in told} == {"one", "two"}
    assert {reply.body for reply in told} == {over_http.content}
    assert over_http.headers["idempotency-replayed"] == "true"
    assert len(running.calls_with(body)) == 1


async def test_answers_that_a_killed_ingress_owed_to_an_inbox_are_given_by_another(
    pair: Pair,
) -> None:
    running, text = pair.running, fresh()
    inbox = running.topics.inbox(DEFAULT_TENANT)
    answers = await running.topic(f"{running.topics.prefix}out.default.{uuid.uuid4().hex}")
    bodies = [chat(f"{text} {number}", user="latency=6000") for number in range(INBOX_PARTITIONS)]
    async with replica(running, "fourth") as fourth:
        for number, body in enumerate(bodies):
            headers = {
                "ce_id": b"%d" % number,
                "headrace-idempotency-key": f"{text}-{number}".encode(),
                "headrace-reply-topic": answers.encode(),
            }
            await running.produce(inbox, body, headers=headers, partition=number)
        await eventually(lambda: all(map(running.calls_with, bodies)), within_s=40)
        fourth.process.signal(signal.SIGKILL)

    async def told() -> bool:
        found = [replies.decode(one.value, one.headers) for one in await running.dump(answers)]
        return {reply.id for reply in found} == {str(number) for number in range(len(bodies))}

    await eventually(told, within_s=60, every_s=0.5)
    assert [len(running.calls_with(body)) for body in bodies] == [1] * len(bodies)
