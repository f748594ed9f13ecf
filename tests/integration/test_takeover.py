"""Dispatchers that die or are replaced under load: nobody is left without an answer, nothing is paid twice.

Judged by the clients, the upstream's own log and a dump of the topics, not by what Headrace counts.
"""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
import pytest_asyncio

from headrace.cli.localkafka import LocalKafka
from headrace.schemas import journal
from support.eventually import eventually
from support.http_client import Answered, Client
from support.installation import Installation, chat, header, installation

pytestmark = pytest.mark.asyncio(loop_scope="session")

SCRIPT = "latency=400"


class Load(NamedTuple):
    """Requests a second, for how many seconds, and how many calls a dispatcher may hold."""

    per_s: int
    seconds: int
    seats: int

    @property
    def total(self) -> int:
        """How many requests it has."""
        return self.per_s * self.seconds

    def requests(self) -> list[bytes]:
        """One request a turn, each different."""
        run = uuid.uuid4()
        return [chat(f"{run} {turn}", user=SCRIPT) for turn in range(self.total)]


@pytest.fixture(params=[Load(100, 10, 32), pytest.param(Load(200, 15, 64), marks=pytest.mark.long)])
def load(request: pytest.FixtureRequest) -> Load:
    """What comes in meanwhile."""
    chosen: Load = request.param
    return chosen


@pytest_asyncio.fixture(loop_scope="session")
async def fleet(
    kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory, load: Load
) -> AsyncIterator[Installation]:
    """Three dispatchers, an installation for each test: a killed process stays dead."""
    async with installation(
        kafka.bootstrap,
        tmp_path_factory.mktemp("fleet"),
        dispatchers=3,
        models={"small": {"limits": {"process_concurrency": load.seats}}},
        overlay={"kafka": {"partitions": {"requests": 12}}},
    ) as one:
        yield one


async def test_a_killed_dispatcher_costs_no_answer_and_only_the_calls_it_held(
    fleet: Installation, load: Load
) -> None:
    victim = fleet.stack.dispatchers[0]
    async with Client(fleet.url) as client:
        flood = asyncio.create_task(client.flood(load.requests(), load.per_s))
        await eventually(lambda: len(fleet.calls()) >= load.total // 3, every_s=0.1)
        victim.kill()
        await victim.wait()
        answers = await flood
    assert_answered_once(answers, load)
    calls, finals = calls_by_id(fleet), await finals_by_id(fleet)
    repeated = {one for one, times in calls.items() if times > 1}
    assert calls.keys() == finals.keys() == {answer.id for answer in answers}
    assert calls.total() <= len(answers) + load.seats

    async def all_done() -> Counter[tuple[int, int]] | None:
        done = await done_entries(fleet)
        return done if len(done) == len(answers) else None

    done = await eventually(all_done)
    # Had a call been repeated whose DONE was written, there would be two.
    assert done is not None
    assert done.total() == len(done)
    assert {one for one, times in finals.items() if times > 1} <= repeated
    assert repeated, "the killed dispatcher held no call: the test showed nothing"


async def test_a_rolling_restart_under_load_repeats_no_call(
    fleet: Installation, load: Load
) -> None:
    async with Client(fleet.url) as client:
        flood = asyncio.create_task(client.flood(load.requests(), load.per_s))
        await eventually(lambda: len(fleet.calls()) >= load.per_s, every_s=0.1)
        for dispatcher in fleet.stack.dispatchers:
            dispatcher.terminate()
            assert await dispatcher.wait() == 0
            await dispatcher.start()
            await dispatcher.ready(120)
        answers = await flood
    assert_answered_once(answers, load)
    assert set(calls_by_id(fleet).values()) == {1}
    assert set((await finals_by_id(fleet)).values()) == {1}
    assert {call.finished.status for call in fleet.calls() if call.finished} == {200}


def assert_answered_once(answers: list[Answered], load: Load) -> None:
    """Every client has its answer while it waits, and each an answer of its own."""
    assert Counter(answer.status for answer in answers) == {200: load.total}
    assert len({answer.id for answer in answers}) == len(answers)


def calls_by_id(fleet: Installation) -> Counter[str]:
    """How often the upstream was called for each request."""
    return Counter(call.received.request_id for call in fleet.calls())


async def finals_by_id(fleet: Installation) -> Counter[str]:
    """How many final answers stand in the reply topic for each request."""
    replies = await fleet.dump(fleet.topics.replies)
    finals = [one for one in replies if header(one, "headrace-final") == b"1"]
    return Counter((header(one, "ce_id") or b"").decode() for one in finals)


async def done_entries(fleet: Installation) -> Counter[tuple[int, int]]:
    """How often the journal of the lane says of an offset that it is done, whoever wrote it."""
    done: Counter[tuple[int, int]] = Counter()
    for record in await fleet.dump(fleet.topics.journal(fleet.topics.requests("standard"))):
        entry = journal.decode(record.value or b"")
        if isinstance(entry, journal.Work):
            done.update((record.partition, offset) for offset, _ in entry.done)
    return done
