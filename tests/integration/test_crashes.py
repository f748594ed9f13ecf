"""Dispatchers that die with requests in hand: these are repeated as their owners wish; no killer lives on."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from headrace.cli.localkafka import LocalKafka
from support.direct import Direct
from support.eventually import eventually
from support.installation import Installation, header, installation

pytestmark = pytest.mark.asyncio(loop_scope="session")

HANGS = "latency=120000"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lone(
    kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    """One dispatcher, which tells the journal of an end only a second later: time to be killed in."""
    async with installation(
        kafka.bootstrap,
        tmp_path_factory.mktemp("crashes"),
        models={"small": {}},
        overlay={"dispatcher": {"journal_linger_ms": 1000}},
    ) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="session")
async def quick(
    kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    """One dispatcher as it is by default."""
    async with installation(
        kafka.bootstrap, tmp_path_factory.mktemp("killers"), models={"small": {}}
    ) as one:
        yield one


async def crash(lone: Installation) -> None:
    """The dispatcher dies, and another takes its place."""
    (dispatcher,) = lone.stack.dispatchers
    dispatcher.kill()
    await dispatcher.wait()
    await dispatcher.start()


@pytest.mark.parametrize(
    ("policy", "outcome", "letters"),
    [("fail", "failed", []), ("park", "dead_lettered", ["ambiguous"])],
)
async def test_an_ambiguous_call_is_not_repeated_where_its_owner_forbids_it(
    lone: Installation, policy: str, outcome: str, letters: list[str]
) -> None:
    request = await Direct.send(lone, HANGS, ambiguous=policy)
    await request.called()
    await crash(lone)
    assert await request.outcome() == (outcome, "ambiguous_call")
    assert await request.letters() == letters
    assert len(request.calls()) == 1


async def test_one_retry_chain_survives_a_crash_between_the_retry_record_and_its_end(
    lone: Installation,
) -> None:
    """The delay record is there, and the journal has not heard of it: both would run."""
    request = await Direct.send(lone, "fail=1x429;retry_after=3")

    async def handed_on() -> bool:
        delayed = await lone.dump(lone.topics.delay("standard", "1s"))
        return any(header(record, "ce_id") == request.id.encode() for record in delayed)

    await eventually(handed_on)
    await crash(lone)
    assert await request.outcome() == ("completed", "")
    after = await Direct.send(lone)
    await after.outcome()
    assert len(request.calls()) == 2
    assert len(await request.finals()) == 1


async def test_a_request_that_kills_its_dispatcher_twice_is_kept_and_those_beside_it_are_answered(
    quick: Installation,
) -> None:
    beside = [await Direct.send(quick, "latency=300", partition=n % 4) for n in range(4)]
    killer = await Direct.send(quick, HANGS)
    # In hand at both crashes; after the second one each runs alone.
    script = "fail=1xstall;latency=5000"
    late = [await Direct.send(quick, script, partition=n % 4) for n in range(3)]
    for one in late:
        await one.called()
    for deaths in (1, 2):
        await killer.called(deaths)
        await crash(quick)
    assert await killer.outcome(90) == ("dead_lettered", "crashed_worker")
    assert await killer.letters() == ["crashed_worker"]
    ends = await asyncio.gather(*(one.outcome(90) for one in (*beside, *late)))
    assert set(ends) == {("completed", "")}
    assert len(killer.calls()) == 2
