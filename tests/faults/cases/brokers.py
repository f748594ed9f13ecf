"""Brokers that die, freeze, restart, slow down or come late."""

import asyncio
import contextlib
import json
from dataclasses import replace

from faults.rig.brokers import Broker
from faults.rig.case import case
from faults.rig.fleet import Shape
from faults.rig.play import LIVENESS_S, MIXED, Play, now_ms, rss_mb
from faults.rig.proxy import Way as TcpWay
from headrace.cli.localkafka.properties import LOG_FOLDER
from headrace.cli.up.http import status_of
from support.installation import chat

AWAY = frozenset({"kafka_unavailable", "not_ready"})
"""What a client may be told while brokers are away: nothing was accepted."""
RESTART_ERRORS = 0.001
EVERYBODY = frozenset({"ingress-1", "dispatcher-1", "dispatcher-2"})
QUORUM_STATE = "__cluster_metadata-0/quorum-state"


def controller(play: Play) -> Broker:
    """The active controller, as the brokers' own quorum files say."""
    brokers = play.cluster.brokers
    states = [json.loads((one.folder / LOG_FOLDER / QUORUM_STATE).read_text()) for one in brokers]
    newest = max(states, key=lambda state: int(state["leaderEpoch"]))
    return next(one for one in brokers if one.number == newest["leaderId"])


async def leader_of(play: Play, topic: str, partition: int = 0) -> Broker:
    """The broker that leads a partition."""
    async with play.admin() as admin:
        (described,) = await admin.describe_topics([topic])
    leaders = {one["partition"]: one["leader"] for one in described["partitions"]}
    return next(one for one in play.cluster.brokers if one.number == leaders[partition])


async def in_sync(play: Play) -> bool:
    """Whether every copy of every topic of ours is in sync."""
    async with play.admin() as admin:
        names = [one for one in await admin.list_topics() if one.startswith(play.topics.prefix)]
        described = await admin.describe_topics([*names, "__consumer_offsets"])
    partitions = [one for topic in described for one in topic["partitions"]]
    return all(len(one["isr"]) == len(one["replicas"]) for one in partitions)


async def back_in_sync(play: Play) -> None:
    """Start what does not run, and wait until every copy has caught up."""
    await play.cluster.start()
    await play.until_true(lambda: in_sync(play), 60)


async def recovered(play: Play, at: int, within_s: float = LIVENESS_S) -> None:
    """Wait for the first completed request after `at`, and keep how long it took."""
    with contextlib.suppress(AssertionError):
        await play.until(lambda: play.first_ok_s(at) is not None, 4 * within_s)
    play.recovers(play.first_ok_s(at), within_s)


@case(
    "F1",
    "the leader broker is killed with -9 at peak and restarted, 5 times",
    "P1 P2 P4 P12",
    brokers=3,
)
async def f1(play: Play) -> None:
    play.errors_allowed = AWAY
    async with play.load(20_000, 100) as load:
        await play.until_calls(100)
        for turn in range(5):
            victim = await leader_of(play, play.topics.requests("standard"), turn)
            with play.fault("kill", victim.name) as at:
                await victim.kill()
                await recovered(play, at)
            await back_in_sync(play)
        load.enough()


@case(
    "F2",
    "fewer copies than min.insync for 30 s",
    "no false 202, 503 with Retry-After",
    brokers=3,
    spoils=True,
)
async def f2(play: Play) -> None:
    play.errors_allowed = AWAY
    lanes = [play.topics.requests(lane) for lane in ("interactive", "standard", "batch")]
    async with play.load(6_000, 60) as load:
        await play.until_calls(100)
        for topic in lanes:
            await play.require_copies(topic, 3)
        victim = next(one for one in play.cluster.brokers if one is not controller(play))
        with play.fault("below-min-insync", victim.name):
            await victim.kill()
            until = now_ms() + 30_000
            asked = 0
            while now_ms() < until:
                answer = await play.ask(chat(f"below {asked}"))
                asked += 1
                play.expect(answer.status in (200, 503), f"a client got {answer.status}")
                if answer.status == 503:
                    play.expect(b"kafka_unavailable" in answer.body, f"503 with {answer.body!r}")
                await play.lasts(0.5)
        for topic in lanes:
            await play.require_copies(topic, 2)
        at = now_ms()
        await recovered(play, at)
        await play.cluster.start()
        load.enough()
    refused = [one for one in play.failures() if one.seen.status == 503]
    play.expect(len(refused) > 0, "nobody was refused: the case showed nothing")


@case("F3", "the controller is killed", "P1, <= 10 s", brokers=3)
async def f3(play: Play) -> None:
    play.errors_allowed = AWAY
    async with play.load(6_000, 100) as load:
        await play.until_calls(100)
        victim = controller(play)
        with play.fault("kill", victim.name) as at:
            await victim.kill()
            await recovered(play, at, 10)
            await play.until(lambda: play.first_ok_s(at + 10_000) is not None, 30)
        await back_in_sync(play)
        load.enough()


@case("F4", "rolling restart of all brokers", "client-visible errors <= 0.1 %", brokers=3)
async def f4(play: Play) -> None:
    play.errors_allowed = AWAY
    async with play.load(20_000, 100) as load:
        await play.until_calls(100)
        for victim in play.cluster.brokers:
            with play.fault("restart", victim.name) as at:
                await victim.stop()
                await back_in_sync(play)
            await recovered(play, at)
        load.enough()
    failed = len(play.failures())
    sent = load.driver.sent
    play.expect(failed <= RESTART_ERRORS * sent, f"{failed} of {sent} requests failed")


@case("F5", "the broker is stopped (SIGSTOP) for 20 s", "P1 P2 P13")
async def f5(play: Play) -> None:
    play.errors_allowed = AWAY | {"deadline_exceeded"}
    (broker,) = play.cluster.brokers
    async with play.load(2_400, 60) as load:
        await play.until_calls(100)
        with play.fault("freeze", broker.name):
            broker.freeze()
            await play.lasts(20)
            broker.thaw()
        await recovered(play, now_ms())
        load.enough()


@case("F6", "the group's coordinator is killed", "work goes on <= 15 s", brokers=3)
async def f6(play: Play) -> None:
    play.errors_allowed = AWAY
    async with play.load(6_000, 100) as load:
        await play.until_calls(100)
        async with play.admin() as admin:
            number = await admin.find_coordinator(play.topics.dispatch_group("standard"))
        victim = next(one for one in play.cluster.brokers if one.number == number)
        with play.fault("kill", victim.name) as at:
            await victim.kill()
            await recovered(play, at)
        await back_in_sync(play)
        load.enough()


@case(
    "F7",
    "the log disk is full: of one broker, then of all",
    "P1; ingress 503, and all goes on after it",
    brokers=3,
    spoils=True,
)
async def f7(play: Play) -> None:
    play.errors_allowed = AWAY
    async with play.load(12_000, 60) as load:
        await play.until_calls(100)
        first = next(one for one in play.cluster.brokers if one is not controller(play))
        with play.fault("disk-full", first.name) as at:
            await filled(first)
            await recovered(play, at)
        with play.fault("disk-full", "all"):
            await asyncio.gather(*(filled(one) for one in play.cluster.brokers if one.running))
            answer = await play.ask(chat("nowhere to write"))
            play.expect(answer.status == 503, f"without disks a client got {answer.status}")
        await play.cluster.start()
        await recovered(play, now_ms())
        load.enough()


async def filled(broker: Broker) -> None:
    """No file of the broker may grow: as on a full disk, it goes offline; wait for that."""
    broker.bound_files(1)
    async with asyncio.timeout(60):
        await broker.wait()


@case(
    "F8",
    "half-open connections from a dispatcher to its broker",
    "the request time-out fires, P4",
    shape=Shape(proxied=frozenset({"dispatcher-1"})),
)
async def f8(play: Play) -> None:
    (broker,) = play.cluster.brokers
    async with play.load(6_000, 60) as load:
        await play.until_calls(200)
        accepted = broker.proxy.accepted
        with play.fault("freeze", "dispatcher-1") as at:
            broker.proxy.strand()
            await play.until(lambda: broker.proxy.accepted > accepted, 30)
        await play.until(lambda: play.first_ok_s(at + 15_000) is not None, 30)
        await play.fleet.dispatchers[0].ready(20)
        load.enough()
    play.recovers(play.last_end_s(at))


@case(
    "F9",
    "a slow broker (+500 ms)",
    "nothing fails, memory flat",
    shape=Shape(proxied=EVERYBODY),
)
async def f9(play: Play) -> None:
    (broker,) = play.cluster.brokers
    processes = [*play.fleet.ingress, *play.fleet.dispatchers]
    async with play.load(3_000, 60) as load:
        await play.until_calls(300)
        before = {one.name: rss_mb(one) for one in processes}
        with play.fault("slow", broker.name):
            broker.proxy.treat(down=TcpWay(latency_s=0.5))
            await play.lasts(25)
            broker.proxy.treat()
        await recovered(play, now_ms())
        load.enough()
    for one in processes:
        growth = rss_mb(one) - before[one.name]
        play.expect(growth <= 64, f"{one.name} grew by {growth:.0f} MB")


@case("F10", "all brokers are killed with -9, and restarted", "0 lost", brokers=3)
async def f10(play: Play) -> None:
    play.errors_allowed = AWAY
    async with play.load(6_000, 80) as load:
        await play.until_calls(200)
        with play.fault("kill", "kafka"):
            await asyncio.gather(*(one.kill() for one in play.cluster.brokers))
            await play.cluster.start()
        await recovered(play, now_ms())
        load.enough()


@case(
    "F11",
    "services start before Kafka",
    "503, then ready by themselves <= 10 s after it",
    shape=Shape(started=False),
    smoke=True,
)
async def f11(play: Play) -> None:
    await play.fleet.apply_topics()
    (broker,) = play.cluster.brokers
    await broker.stop()
    roles = [*play.fleet.ingress, *play.fleet.dispatchers]
    for one in roles:
        await one.start()
    (ingress,) = play.fleet.ingress
    await play.until_true(lambda: is_unready(ingress.ready_url), 20)
    answer = await play.ask(chat("too early"))
    play.expect(answer.status == 503, f"a request got {answer.status}")
    await play.cluster.start()
    at = now_ms()
    await asyncio.gather(*(one.ready(20) for one in roles))
    play.recovers((now_ms() - at) / 1000, 10)
    async with play.load(100, 50, replace(MIXED, timeout_s=20)):
        pass


async def is_unready(url: str) -> bool:
    """Whether it answers, and says 503."""
    return await status_of(url) == 503
