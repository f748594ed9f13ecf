"""Limits by the minute, kept by two dispatchers together: by the upstream's own log."""

import asyncio
import json
import re
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from headrace.cli.localkafka import LocalKafka
from headrace.dispatcher.governor.configured import policy_of, tree_of
from headrace.schemas.config.load import load
from headrace.schemas.journal import ProcessId
from headrace.schemas.limits import Epoch, Report, encode
from support.eventually import eventually
from support.governor import ScriptedGovernor
from support.http_client import Answered, Client
from support.installation import Installation, chat, header, installation

pytestmark = pytest.mark.asyncio(loop_scope="session")

RPM = 30
WINDOW_MS = 60_000
MODELS = {
    "small": {},
    "limited": {"limits": {"requests_per_minute": RPM}},
    "shared": {"limits": {"requests_per_minute": RPM}},
    "spare": {"limits": {"requests_per_minute": 600}},
    "metered": {"limits": {"tokens_per_minute": 1_400}},
    "guessed": {"limits": {"tokens_per_minute": 1_400}},
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(
    kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    """Two dispatchers; a governor joins when a test asks for one."""
    async with installation(
        kafka.bootstrap,
        tmp_path_factory.mktemp("limits"),
        models=MODELS,
        dispatchers=2,
        overlay={"models": {"metered": {"reserve": "hard"}}},
    ) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="session")
async def client(running: Installation) -> AsyncIterator[Client]:
    """At Headrace."""
    async with Client(running.url) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def governor(running: Installation) -> AsyncIterator[ScriptedGovernor]:
    """It lets all of a limit go at once; how fast lanes may go is another matter."""
    config = load(Path(running.stack.config_path), {})
    policy = replace(policy_of(config), burst=10.0)
    async with ScriptedGovernor(
        running.bootstrap, running.topics, tree_of(config), policy
    ) as governor:
        # What dispatchers have said of the time without one is of no account.
        await eventually(lambda: any(report.granted for report in governor.reports))
        yield governor


def seen(running: Installation, model: str) -> list[int]:
    """When the upstream received each call for `model`."""
    return sorted(
        call.received.received_at for call in running.calls() if call.received.model == model
    )


def most_in_a_window(times: list[int]) -> int:
    return max((sum(at - WINDOW_MS < other <= at for other in times) for at in times), default=0)


def code(answer: Answered) -> str:
    return str(json.loads(answer.body)["error"]["code"])


async def metric(running: Installation, name: str) -> float:
    """The sum of one metric of all dispatchers, over all labels that `name` does not tell."""
    total = 0.0
    async with aiohttp.ClientSession() as session:
        for port in running.stack.layout.dispatchers:
            async with session.get(f"http://127.0.0.1:{port}/metrics") as response:
                text = await response.text()
            values = re.findall(rf"^{re.escape(name)}(?:{{.*}})? (\S+)$", text, re.MULTILINE)
            total += sum(map(float, values))
    return total


async def test_without_a_governor_only_deployments_without_limits_are_called(
    running: Installation, client: Client
) -> None:
    free, held = await asyncio.gather(
        client.ask(chat("free")), client.ask(chat("held", "limited"), headrace_timeout="2")
    )
    assert free.status == 200
    assert (held.status, code(held)) == (504, "deadline_exceeded")
    assert seen(running, "limited") == []


async def test_two_dispatchers_never_send_more_than_the_limit(
    running: Installation, client: Client, governor: ScriptedGovernor
) -> None:
    bodies = [chat(f"{number} {uuid.uuid4()}", "limited") for number in range(2 * RPM)]
    asking = [asyncio.create_task(client.ask(one, headrace_timeout="300")) for one in bodies]
    await eventually(lambda: sum(one.done() for one in asking) >= RPM)
    await governor.hears(40)
    answers = [one.result() for one in asking if one.done()]
    assert Counter(answer.status for answer in answers) == {200: RPM}
    times = seen(running, "limited")
    assert most_in_a_window(times) == len(times) == RPM
    assert len({report.dispatcher for report in governor.reports}) == 2
    for one in asking:
        one.cancel()
    await asyncio.gather(*asking, return_exceptions=True)


async def test_two_tenants_have_the_same_of_a_limit(
    running: Installation, governor: ScriptedGovernor
) -> None:
    answers = await running.topic(f"out.{uuid.uuid4().hex}")
    deadline_ms = round(time.time() * 1000) + 300_000
    governor.holding = True
    await ask_directly(running, answers, deadline_ms)
    await eventually(lambda: governor.wanted("shared") == {"a": 16, "b": 16})
    governor.holding = False
    finals = await running.read(answers, RPM, within_s=60)
    assert Counter(header(one, "headrace-outcome") for one in finals) == {b"completed": RPM}
    calls = [call.received for call in running.calls() if call.received.model == "shared"]
    served = Counter(call.request_id[0] for call in calls)
    assert served == {"a": RPM // 2, "b": RPM // 2}


async def ask_directly(running: Installation, answers: str, deadline_ms: int) -> None:
    """As many requests of each of two tenants as the limit is, each tenant in a partition of its own."""
    producer = AIOKafkaProducer(bootstrap_servers=running.bootstrap)
    await producer.start()
    for partition, tenant in enumerate("ab"):
        for number in range(RPM):
            headers = {
                "ce_id": f"{tenant}{number}-{uuid.uuid4().hex}",
                "reply-topic": answers,
                "headrace-tenant": tenant,
                "headrace-deadline-ms": str(deadline_ms),
            }
            await producer.send(
                running.topics.requests("standard"),
                chat(f"{tenant}{number}", "shared"),
                partition=partition,
                headers=[(name, value.encode()) for name, value in headers.items()],
            )
    await producer.stop()


async def test_tokens_that_were_not_used_are_free_again(
    running: Installation, client: Client, governor: ScriptedGovernor
) -> None:
    """Each reserves nearly all of the limit, and uses little of it."""
    for turn in range(3):
        body = chat(f"turn {turn}", "metered", max_tokens=800)
        assert (await client.ask(body, headrace_timeout="20")).status == 200
    body = chat("stream", "metered", max_tokens=800, stream=True)
    body_with_usage = body[:-1] + b', "stream_options": {"include_usage": true}}'
    for _ in range(2):
        answer = await client.ask(body_with_usage, headrace_timeout="20")
        assert answer.body.endswith(b"data: [DONE]\n\n")
        assert b"error" not in answer.body


async def test_a_stream_that_does_not_tell_gives_back_what_was_not_seen(
    running: Installation, client: Client, governor: ScriptedGovernor
) -> None:
    """Two of what each reserves are more than the limit."""
    body = chat("silent stream", "guessed", stream=True)
    for _ in range(4):
        answer = await client.ask(body, headrace_timeout="20")
        assert answer.body.endswith(b"data: [DONE]\n\n")
        assert b"error" not in answer.body
        assert b"usage" not in answer.body


async def test_a_request_without_a_bound_is_refused_where_limits_are_hard(
    client: Client, governor: ScriptedGovernor
) -> None:
    answer = await client.ask(chat("how long", "metered"), headrace_timeout="600")
    assert (answer.status, code(answer)) == (400, "request_unbounded")


async def test_a_request_above_the_limit_is_refused_at_once(
    client: Client, governor: ScriptedGovernor
) -> None:
    body = chat("too much", "metered", max_tokens=1_401)
    answer = await client.ask(body, headrace_timeout="600")  # longer than this client waits
    assert (answer.status, code(answer)) == (400, "request_exceeds_limit")


async def test_what_cannot_be_read_is_counted_and_passed_over(
    running: Installation, client: Client, governor: ScriptedGovernor
) -> None:
    name = "headrace_limit_records_passed_over_total"
    before = await metric(running, name)
    report = Report(ProcessId("x"), "x.1", 1, 0, 250, Epoch(1), [])  # type: ignore[arg-type]
    garbage = (b"", b"\xff", b"[]", b'["grants.9",1,[]]', encode(report))
    for value in garbage:
        await governor.write(value)

    async def counted() -> bool:
        return await metric(running, name) - before == 2 * len(garbage)

    await eventually(counted, every_s=0.2)
    answer = await client.ask(chat("goes on", "spare"), headrace_timeout="20")
    assert answer.status == 200


async def test_requests_that_come_alone_wait_for_nobody(
    running: Installation, client: Client, governor: ScriptedGovernor
) -> None:
    """Below the limit each dispatcher has credits in reserve: they are enough where nothing is granted."""
    for turn in range(40):
        assert (await client.ask(chat(f"alone {turn}", "spare"))).status == 200
    await governor.hears(20)
    governor.holding = True
    held = [await client.ask(chat(f"held {turn}", "spare")) for turn in range(4)]
    governor.holding = False
    assert {answer.status for answer in held} == {200}
    assert await metric(running, "headrace_credits_refused_total") == 0
