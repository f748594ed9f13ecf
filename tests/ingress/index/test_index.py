"""The index on a real Kafka: what one process writes every process knows, whatever happened to its file."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from headrace.cli.localkafka import LocalKafka
from headrace.ingress.index import Index, NotCaughtUp, Row, State
from headrace.schemas.claims import Attach, Orphan
from headrace.schemas.config.model import Config
from headrace.schemas.names import Outcome, RequestId
from support.eventually import eventually
from support.indexing import Writers, following, writers
from support.serving import create_topics, ingress_config
from support.states import TENANT, attach, claim, orphan, queued, running, terminal

R1 = RequestId("r-1")


@pytest.fixture
def config(kafka: LocalKafka, topic_prefix: str) -> Config:
    return ingress_config(kafka.bootstrap, topic_prefix)


@pytest_asyncio.fixture
async def write(config: Config) -> AsyncIterator[Writers]:
    await create_topics(config)
    async with writers(config) as connected:
        yield connected


async def seen(index: Index, state: State, request_id: RequestId = R1) -> Row:
    def there() -> Row | None:
        row = index.get(TENANT, request_id)
        return row if row is not None and row.state is state else None

    row = await eventually(there)
    assert row is not None
    return row


async def test_every_replica_knows_what_one_has_written(
    config: Config, write: Writers, tmp_path: Path
) -> None:
    await write.states.put(queued())
    async with following(config, tmp_path) as one, following(config, tmp_path) as two:
        assert await seen(one, State.QUEUED) == await seen(two, State.QUEUED)
        await write.states.put(running(chunks=(3, 70)))
        assert (await seen(two, State.RUNNING)).chunks == (3, 70)


async def test_of_two_outcomes_the_first_counts_and_the_other_is_counted(
    config: Config, write: Writers, tmp_path: Path
) -> None:
    async with following(config, tmp_path) as index:
        await write.states.put(queued())
        await write.states.put(terminal(outcome=Outcome.CANCELLED, by="api"))
        await write.states.put(terminal())
        await eventually(lambda: index.duplicates == 1)
        assert (await seen(index, State.CANCELLED)).by == "api"


async def test_a_restart_goes_on_where_it_stopped(
    config: Config, write: Writers, tmp_path: Path
) -> None:
    async with following(config, tmp_path) as index:
        await write.states.put(queued())
        await seen(index, State.QUEUED)
        before = dict(index.places)
    async with following(config, tmp_path, ready=False) as index:
        await eventually(lambda: index.places)
        assert index.places == before
        assert index.get(TENANT, R1) is not None
        await write.states.put(terminal())
        await seen(index, State.COMPLETED)


@pytest.mark.parametrize("damage", ["deleted", "overwritten"])
async def test_a_lost_file_is_made_anew_from_kafka(
    config: Config, write: Writers, tmp_path: Path, damage: str
) -> None:
    await write.states.put(queued())
    async with following(config, tmp_path) as index:
        await seen(index, State.QUEUED)
    (file,) = tmp_path.glob("*.sqlite")
    if damage == "deleted":
        file.unlink()
    else:
        file.write_bytes(b"\xff" * file.stat().st_size)
    async with following(config, tmp_path) as index:
        await seen(index, State.QUEUED)


async def test_a_file_damaged_under_a_running_process_is_made_anew(
    config: Config, write: Writers, tmp_path: Path
) -> None:
    for number in range(50):
        await write.states.put(queued(f"r-{number}"))
    async with following(config, tmp_path) as index:
        await eventually(lambda: index.unwritten == 0)
        (file,) = tmp_path.glob("*.sqlite")
        for part in (file, file.with_name(file.name + "-wal")):
            with part.open("r+b") as opened:
                opened.write(b"\xff" * part.stat().st_size)
        await eventually(lambda: index.get(TENANT, RequestId("r-49")) is None or index.broken)
        await eventually(lambda: index.get(TENANT, RequestId("r-49")))
        await eventually(lambda: index.ready)


async def test_topics_made_anew_void_what_was_known_of_the_old_ones(
    config: Config, write: Writers, tmp_path: Path
) -> None:
    async with following(config, tmp_path) as index:
        await write.states.put(queued())
        await seen(index, State.QUEUED)
    admin = AIOKafkaAdminClient(bootstrap_servers=list(config.kafka.bootstrap_servers))
    await admin.start()
    await admin.delete_topics([write.topics.status])
    await eventually(lambda: _gone(admin, write.topics.status))
    await admin.close()
    await create_topics(config)
    async with following(config, tmp_path) as index:
        assert index.get(TENANT, R1) is None


async def _gone(admin: AIOKafkaAdminClient, topic: str) -> bool:
    return topic not in await admin.list_topics()


async def test_whoever_waits_is_told_the_outcome(
    config: Config, write: Writers, tmp_path: Path
) -> None:
    async with following(config, tmp_path) as index:
        now = asyncio.get_running_loop().time()
        waiting = asyncio.create_task(index.terminal(TENANT, R1, now + 20))
        await write.states.put(queued())
        await write.states.put(terminal())
        row = await waiting
        assert row is not None
        assert row.result == (3, 70, 1)
        assert await index.terminal(TENANT, R1, now) == row
        assert await index.terminal(TENANT, RequestId("r-2"), now) is None


async def test_a_young_id_is_found_once_the_log_was_read_to_its_end(
    config: Config, write: Writers, tmp_path: Path
) -> None:
    async with following(config, tmp_path) as index:
        for number in range(20):
            name = f"young-{number}"
            await write.states.put(queued(name))
            row = await index.wait_to_end(TENANT, RequestId(name), timeout_s=10)
            assert row is not None
        assert await index.wait_to_end(TENANT, RequestId("nobody's"), timeout_s=10) is None


async def test_an_index_that_cannot_reach_the_log_does_not_deny_an_id(tmp_path: Path) -> None:
    config = ingress_config("127.0.0.1:1", "away.")
    async with following(config, tmp_path, ready=False) as index:
        with pytest.raises(NotCaughtUp):
            await index.wait_to_end(TENANT, R1, timeout_s=0.1)


async def test_of_many_claims_of_a_key_all_replicas_see_the_same_one_win(
    config: Config, write: Writers, tmp_path: Path
) -> None:
    async with following(config, tmp_path) as one, following(config, tmp_path) as two:
        assert one.claim(TENANT, "k-1") is None

        async def claim_it(number: int) -> RequestId:
            mine = claim(instance=f"i-{number}")
            place = await write.claims.append(mine)
            index = (one, two)[number % 2]
            return (await index.claimed(mine, place.partition, place.offset, place.at_ms)).id

        winners = await asyncio.gather(*(claim_it(number) for number in range(40)))
        assert len(set(winners)) == 1
        known = one.claim(TENANT, "k-1"), two.claim(TENANT, "k-1")
        assert known[0] == known[1]
        assert known[0] is not None
        assert known[0].id == winners[0]
    async with following(config, tmp_path) as again:
        assert again.claim(TENANT, "k-1") == known[0]


async def test_callbacks_see_states_and_entries_in_the_order_of_the_log(
    config: Config, write: Writers, tmp_path: Path
) -> None:
    states: list[State] = []
    entries: list[Orphan | Attach] = []
    async with following(config, tmp_path) as index:
        forget = index.on_row(lambda row: states.append(row.state))
        index.on_entry(lambda entry, at_ms: entries.append(entry))
        for state in (queued(), running(), terminal(), terminal()):
            await write.states.put(state)
        await write.claims.append(orphan())
        place = await write.claims.append(attach())
        await index.read_own(attach(), place.partition, place.offset, place.at_ms)
        assert entries == [orphan(), attach()]
        await eventually(lambda: index.duplicates)
        assert states == [State.QUEUED, State.RUNNING, State.COMPLETED]
        forget()
        await write.states.put(queued("r-2"))
        await seen(index, State.QUEUED, RequestId("r-2"))
        assert len(states) == 3


async def test_what_nobody_ended_is_due_until_somebody_does(
    config: Config, write: Writers, tmp_path: Path
) -> None:
    async with following(config, tmp_path) as index:
        await write.states.put(queued("late", deadline_ms=50_000))
        await write.states.put(queued("later", deadline_ms=60_001))

        def due() -> list[str]:
            return [row.id for row in index.due(60_001, 10)]

        await eventually(lambda: due() == ["late"])
        await write.states.put(terminal("late", outcome=Outcome.EXPIRED, by="sweeper"))
        await eventually(lambda: due() == [])


async def test_an_unreadable_record_is_passed_over(
    config: Config, write: Writers, tmp_path: Path
) -> None:
    for topic in (write.topics.status, write.topics.claims):
        for partition in range(16):
            ack = await write.producer.send(topic, b"[1", key=b"x", partition=partition, headers=[])
            await ack
    await write.states.put(queued())
    async with following(config, tmp_path) as index:
        await seen(index, State.QUEUED)


async def test_what_retention_has_removed_is_not_waited_for(
    config: Config, write: Writers, tmp_path: Path
) -> None:
    async with following(config, tmp_path) as index:
        await write.states.put(queued())
        await seen(index, State.QUEUED)
    for number in range(30):
        await write.states.put(queued(f"gone-{number}"))
    admin = AIOKafkaAdminClient(bootstrap_servers=list(config.kafka.bootstrap_servers))
    await admin.start()
    places = [TopicPartition(write.topics.status, number) for number in range(16)]
    await admin.delete_records({place: RecordsToDelete(before_offset=-1) for place in places})
    await admin.close()
    async with following(config, tmp_path) as index:
        assert index.ready
        await write.states.put(terminal())
        await seen(index, State.COMPLETED)


async def test_a_full_disk_stops_the_reading_and_loses_nothing(
    config: Config, write: Writers, tmp_path: Path
) -> None:
    async with following(config, tmp_path) as index:
        await eventually(lambda: index.unwritten == 0)
        assert index._store is not None
        file = index._store._writing
        (pages,) = file.execute("PRAGMA page_count").fetchone()
        file.execute(f"PRAGMA max_page_count = {pages}")
        for number in range(300):
            await write.states.put(queued(f"r-{number}"))
        await eventually(lambda: index.unwritten > 0 and not index._end_of)
        file.execute("PRAGMA max_page_count = 1000000")
        await seen(index, State.QUEUED, RequestId("r-299"))
        await eventually(lambda: index.unwritten == 0)
        assert all(index.get(TENANT, RequestId(f"r-{number}")) for number in range(300))
