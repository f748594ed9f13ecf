"""Topics that grow, lose records, disappear or come back empty."""

import asyncio
import contextlib
import json

from aiokafka import TopicPartition
from aiokafka.admin import NewPartitions, RecordsToDelete

from faults.history.violation import Promise
from faults.rig.case import case
from faults.rig.fleet import Shape
from faults.rig.play import Play, now_ms
from headrace.cli.up.http import status_of
from support.installation import chat

GROWN = 12
BACKLOG = 300
GONE = frozenset({"kafka_topic_missing", "kafka_unavailable", "not_ready", "wait_too_long"})


@case(
    "F12",
    "the request topic is deleted under load, and created again",
    "P14; lost records reported by range, nothing skipped after",
    unchecked=frozenset({Promise.P1, Promise.P2, Promise.P3, Promise.P4, Promise.P11, Promise.P13}),
    limit_s=180,
)
async def f12(play: Play) -> None:
    play.errors_allowed = GONE | {"deadline_exceeded"}
    play.unknown_allowed = True
    play.settled = False
    lane = play.topics.requests("standard")
    (ingress,) = play.fleet.ingress
    async with play.load(12_000, 40) as load:
        await play.until_calls(200)
        with play.fault("delete-topic", lane) as at:
            async with play.admin() as admin:
                await admin.delete_topics([lane])
            await play.until_true(lambda: is_refused(play), 30)
            play.expect(now_ms() - at <= 12_000, f"refused only after {now_ms() - at} ms")
            status = await status_of(ingress.ready_url)
            play.expect(status == 503, f"the ingress says {status} of itself")
        await play.fleet.apply_topics()
        at = now_ms()
        with contextlib.suppress(AssertionError):
            await play.until(lambda: play.first_ok_s(at) is not None, 60)
        play.recovers(play.first_ok_s(at))
        load.enough()
    play.expect(all(one.running for one in play.fleet.dispatchers), "a dispatcher ended")
    answers = await asyncio.gather(*(play.ask(chat(f"after it {n}")) for n in range(60)))
    served = sum(answer.status == 200 for answer in answers)
    play.expect(served == 60, f"{served} of 60 requests after it were answered")


async def is_refused(play: Play) -> bool:
    """Whether a request is told that its topic is missing."""
    answer = await play.ask(chat("is it there?"))
    return b"kafka_topic_missing" in answer.body


@case("F13", "partitions are added to a lane under load", "P1 P2")
async def f13(play: Play) -> None:
    lane = play.topics.requests("standard")
    own = await play.topic(f"{play.topics.prefix}own.grown")
    async with play.load(12_000, 60) as load:
        await play.until_calls(200)
        with play.fault("grow", lane) as at:
            async with play.admin() as admin:
                for topic in (play.topics.journal(lane), lane):
                    await admin.create_partitions({topic: NewPartitions(GROWN)})
            await play.until_true(lambda: all_are_read(play, own), 60)
        play.recovers((now_ms() - at) / 1000, 60)
        load.enough()


async def all_are_read(play: Play, own: str) -> bool:
    """Whether a record in each new partition has been committed."""
    lane = play.topics.requests("standard")
    ends = await play.ends(lane)
    if len(ends) < GROWN:
        return False
    for partition in range(8, GROWN):
        if not ends[partition]:
            headers = {"reply-topic": own.encode(), "headrace-tenant": b"ann"}
            body = chat(f"new {partition}")
            await play.produce(lane, body, headers=headers, partition=partition)
    done = await play.committed()
    return all(done.get(partition, 0) > 0 for partition in range(8, GROWN))


@case(
    "F14",
    "retention overtakes the reader",
    "every gap is counted",
    shape=Shape(mock="", dispatchers=1),
    unchecked=frozenset({Promise.P1, Promise.P3}),
)
async def f14(play: Play) -> None:
    lane = play.topics.requests("standard")
    (dispatcher,) = play.fleet.dispatchers
    own = await play.topic(f"{play.topics.prefix}own.overtaken")
    to = {"reply-topic": own.encode(), "headrace-tenant": b"ann"}
    await play.produce(lane, chat("before"), partition=0, headers=to)
    await play.settle()
    dispatcher.terminate()
    await dispatcher.wait()
    bodies = [chat(f"waits {n}") for n in range(20)]
    places = [await play.produce(lane, body, partition=0, headers=to) for body in bodies]
    cut = places[12][1]
    async with play.admin() as admin:
        await admin.delete_records({TopicPartition(lane, 0): RecordsToDelete(before_offset=cut)})
    await dispatcher.start()
    await dispatcher.ready()
    await play.settle()
    seen = len({call.received.request_id for call in play.calls()})
    play.expect(seen == 1 + 20 - 12, f"{seen} requests were called, not {1 + 20 - 12}")
    lost = await play.metric(dispatcher, "headrace_records_lost_total")
    play.expect(lost == 12, f"{lost:g} lost records counted, not 12")
    gap = {"topic": lane, "partition": 0, "first": places[0][1], "last": cut - 1}
    lines = [
        json.loads(line) for line in dispatcher.log.read_text().splitlines() if "_lost" in line
    ]
    told = [{name: line.get(name) for name in gap} for line in lines]
    play.expect(told == [gap], f"the log tells {told} of the gap, not {gap}")
