"""Operators change a running fleet, and callers see their limits: real processes, the upstream's own log."""

import asyncio
import json
import re
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import openai
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from headrace.cli.localkafka import LocalKafka
from headrace.cli.settings.desk import open_desk
from headrace.cli.settings.errors import Conflict
from headrace.schemas.config.load import load
from headrace.schemas.settings import Pause, Scope, Verb
from support.commands import headrace
from support.eventually import eventually
from support.http_client import Client
from support.installation import Installation, chat, header, installation
from support.official import sync_client

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

DISPATCHERS = 2
MODELS = {
    "free": {},
    "limited": {"limits": {"requests_per_minute": 6_000}},
    "narrow": {"limits": {"requests_per_minute": 600, "pool": "account"}},
    "slow": {"limits": {"requests_per_minute": 6}},
}
OVERLAY = {"pools": {"account": {"limits": {"requests_per_minute": 700}}}}
WINDOW_MS = 60_000


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(
    kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    """Two dispatchers and a governor."""
    async with installation(
        kafka.bootstrap,
        tmp_path_factory.mktemp("operators"),
        models=MODELS,
        overlay=OVERLAY,
        dispatchers=DISPATCHERS,
        governor=True,
    ) as one:
        yield one


async def command(running: Installation, *words: str) -> dict[str, Any]:
    """Run it; the object that it printed."""
    code, printed, told = await operator(running, *words)
    assert code == 0, told
    found: dict[str, Any] = json.loads(printed)
    return found


async def operator(running: Installation, *words: str) -> tuple[int, bytes, str]:
    return await headrace(*words, "--config", str(running.stack.config_path), "--output", "json")


async def metric(running: Installation, name: str) -> float:
    """The sum over all dispatchers."""
    total = 0.0
    async with aiohttp.ClientSession() as session:
        for port in running.stack.layout.dispatchers:
            async with session.get(f"http://127.0.0.1:{port}/metrics") as response:
                text = await response.text()
            found = re.findall(rf"^{re.escape(name)}(?:{{.*}})? (\S+)$", text, re.MULTILINE)
            total += sum(map(float, found))
    return total


async def produce(
    running: Installation, tenant: str, model: str, count: int, answers: str, within_s: float = 120
) -> None:
    """Requests as any producer writes them, to be answered on `answers`."""
    deadline_ms = round((time.time() + within_s) * 1000)
    producer = AIOKafkaProducer(bootstrap_servers=running.bootstrap)
    await producer.start()
    for number in range(count):
        headers = {
            "ce_id": f"{tenant}-{model}-{number}-{uuid.uuid4().hex}",
            "reply-topic": answers,
            "headrace-tenant": tenant,
            "headrace-deadline-ms": str(deadline_ms),
        }
        await producer.send(
            running.topics.requests("standard"),  # type: ignore[arg-type]
            chat(f"{number}", model),
            headers=[(name, value.encode()) for name, value in headers.items()],
        )
    await producer.stop()


def called(running: Installation, start: str) -> list[int]:
    """When the upstream received requests whose id begins so."""
    calls = [call.received for call in running.calls()]
    return sorted(one.received_at for one in calls if one.request_id.startswith(start))


async def test_a_pause_holds_one_tenant_alone_until_it_is_resumed(running: Installation) -> None:
    answers = await running.topic(f"out.{uuid.uuid4().hex}")
    paused = await command(running, "pause", "tenant", "acme", "--reason", "abuse", "--by", "ann")
    assert (paused["verb"], paused["version"], paused["until_ms"]) == ("pause", 1, None)

    async def obeyed() -> bool:
        return await metric(running, "headrace_paused") == DISPATCHERS

    await eventually(obeyed, within_s=30, every_s=0.2)
    for model in ("free", "limited"):
        await produce(running, "acme", model, 3, answers)
        await produce(running, "bolt", model, 3, answers)
    finals = await running.read(answers, 6, within_s=60)
    assert {header(one, "headrace-outcome") for one in finals} == {b"completed"}

    async def held() -> bool:
        return await metric(running, "headrace_held_requests") == 6

    await eventually(held, within_s=30, every_s=0.2)
    assert called(running, "acme") == []
    shown = await command(running, "limits", "show")
    assert [(one["name"], one["reason"], one["by"]) for one in shown["pauses"]] == [
        ("acme", "abuse", "ann")
    ]
    await command(running, "resume", "tenant", "acme")
    await running.read(answers, 12, within_s=60)
    assert len(called(running, "acme")) == 6


async def test_a_pause_ends_by_itself_and_a_paused_deployment_starts_nothing(
    running: Installation,
) -> None:
    await command(running, "pause", "deployment", "free", "--for", "8s")

    async def obeyed() -> bool:
        return await metric(running, 'headrace_paused{scope="deployment"}') > 0

    await eventually(obeyed, within_s=30, every_s=0.1)
    async with Client(running.url) as client:
        began_ms = time.time() * 1000
        answer = await client.ask(chat("held"), headrace_timeout="60")
        assert answer.status == 404  # of another model's name
        answer = await client.ask(chat("held", "free"), headrace_timeout="60")
    assert answer.status == 200
    (at_ms,) = called(running, answer.id)
    assert at_ms > began_ms
    shown = await command(running, "limits", "show")
    assert shown["pauses"] == []


async def test_of_two_operators_the_second_is_told(running: Installation) -> None:
    config = load(running.stack.config_path, {})

    def pause(version: int, by: str) -> Pause:
        return Pause(version=version, verb=Verb.PAUSE, scope=Scope.LANE, name="batch", by=by)

    async with open_desk(config) as first, open_desk(config) as second:
        place = pause(1, "").place
        mine, theirs = first.version(place, None), second.version(place, None)
        await first.write(pause(mine, "ann"))
        with pytest.raises(Conflict, match="by ann"):
            await second.write(pause(theirs, "bob"))
    code, _, told = await operator(running, "drain", "lane", "batch", "--seen", "0")
    assert code == 17
    assert told.startswith("settings_conflict: ")
    assert (await command(running, "resume", "lane", "batch", "--seen", "1"))["version"] == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("narrow", "--requests-per-min", "701"), "above that of the pool account, 700"),
        (("narrow", "--requests-per-min", "0"), "lets nothing through"),
        (("narrow", "--requests-per-min", "-5"), "lets nothing through"),
        (("narrow", "--tokens-per-min", "5"), "has no such limit in the configuration"),
        (("narow", "--requests-per-min", "5"), "did you mean narrow?"),
    ],
)
async def test_limits_that_cannot_be_are_refused_and_nothing_is_written(
    running: Installation, words: tuple[str, ...], says: str
) -> None:
    code, _, told = await operator(running, "limits", "set", *words)
    assert (code, told.startswith("setting_refused: ")) == (11, True)
    assert says in told
    shown = await command(running, "limits", "show")
    assert {one["version"] for one in shown["limits"] if one["scope"] == "narrow"} == {0}


async def test_a_limit_that_is_set_is_kept_at_once(running: Installation) -> None:
    few = 5
    changed = await command(
        running, "limits", "set", "pool:account", "--requests-per-min", str(few), "--reason", "bill"
    )
    assert (changed["scope"], changed["requests_per_minute"]) == ("pool account", few)

    async def in_force() -> bool:
        shown = await command(running, "limits", "show")
        rows = {one["scope"]: one for one in shown["limits"]}
        return bool(rows["pool account"]["in_force"] == few)

    await eventually(in_force, within_s=30)
    answers = await running.topic(f"out.{uuid.uuid4().hex}")
    await produce(running, "acme", "narrow", 3 * few, answers)
    await eventually(lambda: len(called(running, "acme-narrow")) == few, within_s=30)
    await command(running, "limits", "reset", "pool:account")
    await running.read(answers, 3 * few, within_s=60)
    times = called(running, "acme-narrow")
    assert times[few] - times[few - 1] > 0
    assert len(times) == 3 * few
    shown = await command(running, "limits", "show")
    assert shown["changes"] == []


async def test_who_cannot_be_answered_in_time_is_refused_at_once(running: Installation) -> None:
    """Sixty requests wait for a limit of six a minute."""
    answers = await running.topic(f"out.{uuid.uuid4().hex}")
    await produce(running, "default", "slow", 66, answers, within_s=3_600)

    def ask(timeout_s: int) -> openai.APIStatusError | None:
        with sync_client(running.url) as client:
            try:
                client.chat.completions.create(
                    model="slow",
                    messages=[{"role": "user", "content": "late"}],
                    extra_headers={"headrace-timeout": str(timeout_s)},
                )
            except openai.APIStatusError as error:
                return error
        return None

    async def refused() -> openai.APIStatusError | None:
        found = await asyncio.to_thread(ask, 10)
        return found if isinstance(found, openai.RateLimitError) else None

    error = await eventually(refused, within_s=90)
    assert error is not None
    assert error.code == "predicted_wait_exceeds_deadline"
    began_s = time.monotonic()
    error = await asyncio.to_thread(ask, 30)
    assert isinstance(error, openai.RateLimitError)
    assert time.monotonic() - began_s <= 20
    headers = error.response.headers
    assert 0 < int(headers["retry-after"]) <= 120
    assert headers["x-ratelimit-limit-requests"] == "6"
    assert headers["x-ratelimit-remaining-requests"] == "0"
    shown = await command(running, "limits", "show")
    (queue,) = [one for one in shown["queues"] if one["deployment"] == "slow"]
    assert queue["wait_s"] >= 300
    async with Client(running.url) as client:
        patient = asyncio.create_task(client.ask(chat("patient", "slow"), headrace_timeout="3000"))
        free = await client.ask(chat("free", "limited"), headrace_timeout="30")
        assert free.status == 200
        await command(running, "limits", "set", "slow", "--requests-per-min", "6000")
        assert (await patient).status == 200


async def test_an_answer_tells_what_is_left_of_a_limit(running: Installation) -> None:
    async def told() -> str | None:
        async with Client(running.url) as client, client.open(chat("hi", "limited")) as response:
            assert response.status == 200
            return response.headers.get("x-ratelimit-limit-requests")

    assert await eventually(told, within_s=30) == "6000"
