"""Requests and records that are too large, unreadable, or kill whoever reads them."""

import asyncio
import uuid
from collections.abc import Mapping

from faults.rig.case import case
from faults.rig.fleet import Shape
from faults.rig.play import Play, now_ms
from support.http_client import Answered
from support.installation import Record, chat, header

LIMIT = 200_000
KILLER = "RIG-KILLER"
RESTARTS = 2


async def direct(
    play: Play, body: bytes, partition: int = 0, headers: Mapping[str, bytes] | None = None
) -> tuple[str, int]:
    """A record on the lane with a reply topic of its own; that topic, and when it was written."""
    topic = await play.topic(f"{play.topics.prefix}own.{uuid.uuid4().hex[:8]}")
    lane = play.topics.requests("standard")
    told = {"reply-topic": topic.encode(), "headrace-tenant": b"ann", **(headers or {})}
    await play.produce(lane, body, headers=told, partition=partition)
    return topic, now_ms()


async def letters(play: Play) -> list[Record]:
    """Every dead letter."""
    return await play.dump(play.topics.dead_letters)


def outcome(record: Record) -> str:
    """Its terminal state and code."""
    words = (header(record, "headrace-outcome"), header(record, "headrace-code"))
    return " ".join((word or b"-").decode() for word in words)


@case(
    "F17",
    "an oversize request, an oversize response",
    "413 before produce; terminal response_too_large, the partition goes on",
    shape=Shape(
        mock="",
        dispatchers=1,
        overlay={
            "ingress": {"max_body_bytes": LIMIT},
            "dispatcher": {"max_answer_bytes": LIMIT},
        },
    ),
    smoke=True,
)
async def f17(play: Play) -> None:
    large = await play.ask(chat("x" * (2 * LIMIT)))
    play.expect(large.status == 413, f"an oversize request got {large.status}")
    play.expect(not await play.dump(play.topics.requests("standard")), "it was produced")
    fat = f"fault=huge_line;huge_bytes={4 * LIMIT}"
    topics = [await direct(play, chat(f"fat {n}", user=fat), partition=3) for n in range(3)]
    after, _ = await direct(play, chat("after"), partition=3)
    for topic, _ in topics:
        (answer,) = await play.read(topic)
        play.expect(outcome(answer) == "failed response_too_large", f"it got {outcome(answer)}")
    (answer,) = await play.read(after)
    play.expect(outcome(answer) == "completed -", f"the next one got {outcome(answer)}")
    answers: list[Answered] = await asyncio.gather(
        play.ask(chat("fat plain", user=fat)), play.ask(chat("fat stream", user=fat, stream=True))
    )
    play.expect(answers[0].status == 502, f"over HTTP it got {answers[0].status}")
    play.expect(b"response_too_large" in answers[1].body, "the stream did not say why")


@case(
    "F28",
    "a record that cannot be decoded, a record that kills its reader",
    "dead letters; the partition goes on <= 1 s, after <= 2 restarts",
    shape=Shape(
        arms={f"dispatcher-{n}": f"crash={KILLER}" for n in (1, 2)}, mock="latency_ms=20;sign=1"
    ),
)
async def f28(play: Play) -> None:
    await direct(play, chat("before"), partition=1)
    topic, at = await direct(play, b"\xff\xfe not JSON", partition=1)
    after, _ = await direct(play, chat("after"), partition=1)
    (answer,) = await play.read(after)
    play.expect(answer.timestamp - at <= 1_000, f"it went on after {answer.timestamp - at} ms")
    (rejected,) = await play.read(topic)
    play.expect(outcome(rejected).startswith("dead_lettered"), f"it got {outcome(rejected)}")
    killer, at = await direct(play, chat(KILLER), partition=1)
    after, _ = await direct(play, chat("after the killer"), partition=1)
    deaths = 0
    reading = asyncio.create_task(play.read(killer, within_s=60))
    watching = asyncio.create_task(restart(play))
    try:
        (convicted,) = await reading
        (answer,) = await play.read(after, within_s=30)
    finally:
        watching.cancel()
        reading.cancel()
    deaths = restarts(play)
    play.expect(outcome(convicted).startswith("dead_lettered"), f"it got {outcome(convicted)}")
    reasons = [header(one, "headrace-reason") for one in await letters(play)]
    play.expect(b"crashed_worker" in reasons, f"reasons of dead letters: {reasons}")
    play.expect(deaths <= RESTARTS, f"{deaths} dispatchers died of it")
    play.recovers((answer.timestamp - at) / 1000, 40.0)


async def restart(play: Play) -> None:
    """Start again whoever dies, and keep that as a fault."""
    while True:
        for one in play.fleet.dispatchers:
            if not one.running:
                with play.fault("kill", one.name):
                    await one.start()
        await play.lasts(0.1)


def restarts(play: Play) -> int:
    """How many dispatchers have died so far."""
    return sum(type(one).__name__ == "Fault" for one in play.events)


@case(
    "F29",
    "records of an unknown version, or without what is needed, from a direct producer",
    "an answer to the reply topic if there is one, a dead letter, a metric",
    shape=Shape(mock="", dispatchers=1),
    smoke=True,
)
async def f29(play: Play) -> None:
    wrong = [
        await direct(play, body, headers={name: value})
        for body, name, value in (
            (chat("future"), "ce_specversion", b"9.0"),
            (b"{}", "ce_id", b"no-model"),
            (chat("bad deadline"), "headrace-deadline-ms", b"soon"),
            (chat("bad endpoint"), "headrace-endpoint", b"nowhere"),
        )
    ]
    lane = play.topics.requests("standard")
    await play.produce(lane, b"\x00", headers={"ce_id": b"nobody-waits"}, partition=0)
    after, _ = await direct(play, chat("after them"))
    for topic, _ in wrong:
        (answer,) = await play.read(topic)
        play.expect(outcome(answer).startswith("dead_lettered"), f"it got {outcome(answer)}")
    (answer,) = await play.read(after)
    play.expect(outcome(answer) == "completed -", f"the next one got {outcome(answer)}")
    kept = await play.read(play.topics.dead_letters, len(wrong) + 1)
    play.expect(len(kept) == len(wrong) + 1, f"{len(kept)} dead letters")
    counted = await play.metric(play.fleet.dispatchers[0], "headrace_dead_letters_total")
    play.expect(counted == len(wrong) + 1, f"{counted:g} dead letters counted")
