"""`headrace dlq` on a real Kafka: what it shows, what it writes, what it deletes, what it refuses."""

from collections.abc import AsyncIterator
from itertools import product
from pathlib import Path

import pytest
import pytest_asyncio

from headrace.cli.localkafka import LocalKafka, free_ports
from headrace.cli.topics.command import read_changes
from headrace.schemas.config.load import load
from headrace.schemas.status import Queued
from headrace.schemas.status import decode as decode_status
from support.dead_letters import BODY, PROMPT, Desk, config_file

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def desk(kafka: LocalKafka, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Desk]:
    file = config_file(tmp_path, kafka.bootstrap, topic_prefix)
    await read_changes(load(file, {}), apply=True)
    yield Desk(kafka.bootstrap, topic_prefix, file)


async def test_list_tells_what_why_whose_and_where_from_but_no_prompt(desk: Desk) -> None:
    own = [("ce_id", b"r1"), ("headrace-tenant", b"acme"), ("authorization", b"secret-word")]
    place = await desk.bury("r1", headers=own)
    (row,) = await desk.rows("list")
    assert row["id"] == "r1"
    assert row["letter"] == place
    assert (row["reason"], row["tenant"], row["model"], row["lane"]) == (
        "attempts_exhausted",
        "acme",
        "m1",
        "standard",
    )
    assert row["source"] == {
        "topic": desk.topics.requests("standard"),
        "partition": 1,
        "offset": 5,
        "key": "k",
    }
    assert [one["status"] for one in row["attempts"]] == [500]
    assert row["replayed"] is False
    for verb in (("list",), ("show", "r1"), ("show", "r1", "--output", "json")):
        _, printed, told = await desk.dlq(*verb)
        assert b"r1" in printed
        assert PROMPT not in printed
        assert PROMPT.decode() not in told
        assert b"secret-word" not in printed


async def test_filters_choose_and_the_limit_keeps_the_newest(desk: Desk) -> None:
    await desk.bury("a", reason="crashed_worker")
    for name in ("b", "c"):
        await desk.bury(name, headers=[("ce_id", name.encode()), ("headrace-tenant", b"acme")])
    assert {row["id"] for row in await desk.rows("list", "--tenant", "ac*")} == {"b", "c"}
    assert [row["id"] for row in await desk.rows("list", "--reason", "crashed_worker")] == ["a"]
    assert [row["id"] for row in await desk.rows("list", "--limit", "1")] == ["c"]
    assert len(await desk.rows("list", "--since", "1h")) == 3
    assert await desk.rows("list", "--until", "1h") == []
    assert await desk.rows("list", "--model", "other") == []


@pytest.mark.parametrize("value", [BODY, b"", b"\x00\xff" * 700_000])
async def test_show_body_gives_the_value_byte_for_byte(
    desk: Desk, value: bytes, tmp_path: Path
) -> None:
    await desk.bury("r1", value=value)
    assert (await desk.dlq("show", "r1", "--body"))[:2] == (0, value)
    await desk.dlq("show", "r1", "--out", str(tmp_path / "value"))
    assert (tmp_path / "value").read_bytes() == value


async def test_a_file_that_cannot_be_written_is_a_wrong_argument(
    desk: Desk, tmp_path: Path
) -> None:
    await desk.bury("r1")
    code, _, told = await desk.dlq("show", "r1", "--out", str(tmp_path / "none" / "value"))
    assert code == 2
    assert "cannot be written: No such file or directory" in told


BINARY = [
    ("x", b"\x00\xff\xfe"),
    ("a", b""),
    ("x", b"again"),
    ("null", None),
    ("\u00fcml", b"1"),
]


async def test_a_replay_is_the_first_record_byte_for_byte(desk: Desk) -> None:
    pairs = product([None, b"", b"\x00key\xff"], [BODY, b"", None])
    letters = {f"r{number}": pair for number, pair in enumerate(pairs)}
    for offset, (name, (key, value)) in enumerate(letters.items()):
        headers = [("ce_id", name.encode()), *BINARY, ("headrace-deadline-ms", b"5")]
        await desk.bury(name, headers=headers, key=key, value=value, offset=offset)
    rows = await desk.rows("replay", *letters)
    lane = desk.topics.requests("standard")
    assert {(row["topic"], row["replayed_as"]) for row in rows} == {
        (lane, name) for name in letters
    }
    dumped = await desk.dump(lane)
    assert len(rows) == len(dumped) == len(letters)
    records = {record.headers[0][1].decode(): record for record in dumped}
    assert records.keys() == letters.keys()
    for name, record in records.items():
        assert (record.key, record.value, record.partition) == (*letters[name], 1)
        assert record.timestamp is not None
        _id, *own, deadline, replays = record.headers
        assert own == BINARY
        assert deadline[0] == "headrace-deadline-ms"
        assert abs(int(deadline[1]) - record.timestamp - 60_000) < 5_000
        assert replays == ("headrace-replays", b"1")


async def test_what_was_replayed_is_left_out_until_it_is_wanted_again(desk: Desk) -> None:
    await desk.bury("r1")
    await desk.bury("r2")
    assert [row["id"] for row in await desk.rows("replay", "r1")] == ["r1"]
    assert {row["id"]: row["replayed"] for row in await desk.rows("list")} == {
        "r1": True,
        "r2": False,
    }
    assert [row["id"] for row in await desk.rows("replay", "--yes")] == ["r2"]
    assert await desk.rows("replay", "--yes") == []
    assert len(await desk.rows("replay", "r1", "--again")) == 1
    assert len(await desk.dump(desk.topics.requests("standard"))) == 3


async def test_a_dry_run_writes_nothing(desk: Desk) -> None:
    await desk.bury("r1")
    (row,) = await desk.rows("replay", "--dry-run")
    assert (row["id"], row["dry_run"]) == ("r1", True)
    assert await desk.dump(desk.topics.requests("standard")) == []
    assert len(await desk.dump(desk.topics.dead_letters)) == 1


async def test_without_a_yes_nothing_is_written(desk: Desk) -> None:
    await desk.bury("r1")
    code, _, told = await desk.dlq("replay", "--reason", "attempts_exhausted")
    assert code == 15
    assert "not_confirmed" in told
    assert await desk.dump(desk.topics.requests("standard")) == []


async def test_a_limit_works_through_what_is_pending(desk: Desk) -> None:
    for name in ("a", "b", "c"):
        await desk.bury(name)
    ids = [
        row["id"] for _ in range(3) for row in await desk.rows("replay", "--yes", "--limit", "1")
    ]
    assert sorted(ids) == ["a", "b", "c"]


async def test_a_letter_that_a_crash_wrote_twice_is_replayed_once(desk: Desk) -> None:
    await desk.bury("r1")
    await desk.bury("r1")
    rows = await desk.rows("replay", "r1")
    assert [row["skipped"] for row in rows] == [None, "same_request"]
    assert await desk.rows("replay", "--yes") == []
    assert len(await desk.dump(desk.topics.requests("standard"))) == 1


@pytest.mark.parametrize("more", [(), ("--new-id",)])
async def test_two_requests_of_one_id_are_both_replayed(desk: Desk, more: tuple[str, ...]) -> None:
    """Two tenants may use one id; one may use it twice, with other words. One was marked, and lost."""
    for offset, tenant in enumerate((b"acme", b"bolt", b"bolt")):
        headers = [("ce_id", b"r1"), ("headrace-tenant", tenant)]
        await desk.bury("r1", headers=headers, value=BODY + b" " * offset, offset=offset)
    rows = await desk.rows("replay", "r1", *more)
    assert [row["skipped"] for row in rows] == [None, None, None]
    written = {record.value for record in await desk.dump(desk.topics.requests("standard"))}
    assert written == {BODY, BODY + b" ", BODY + b"  "}


async def test_what_is_left_out_takes_nothing_of_the_limit(desk: Desk) -> None:
    """The same ones were met first by every repeat of the command, so nothing went on."""
    for name in ("j1", "j2"):
        await desk.bury(name, headers=[("ce_id", name.encode()), ("headrace-kind", b"job")])
    await desk.bury("j1", headers=[("ce_id", b"j1")], offset=6)
    rows = await desk.rows("replay", "--yes", "--limit", "1", "--reason", "attempts_exhausted")
    assert [row["id"] for row in rows if row["skipped"] is None] == ["j1"]


async def test_another_lane_may_be_wanted_and_an_unknown_one_needs_it(desk: Desk) -> None:
    await desk.bury("r1", topic=f"{desk.topics.prefix}requests.gone")
    code, _, told = await desk.dlq("replay", "r1")
    assert code == 11
    assert "--lane" in told
    await desk.rows("replay", "r1", "--lane", "batch")
    assert len(await desk.dump(desk.topics.requests("batch"))) == 1


async def test_what_an_inbox_refused_reaches_no_lane(desk: Desk) -> None:
    await desk.bury("r1", topic=f"{desk.topics.prefix}inbox.acme")
    code, _, told = await desk.dlq("replay", "r1", "--lane", "batch")
    assert code == 11
    assert "inbox" in told
    assert await desk.dump(desk.topics.requests("batch")) == []


JOB = [
    ("ce_id", b"j1"),
    ("headrace-kind", b"job"),
    ("headrace-model", b"m1"),
    ("headrace-endpoint", b"embeddings"),
    ("headrace-tenant", b"acme"),
]


async def test_a_job_has_its_outcome_and_is_replayed_under_a_new_id_that_can_be_read(
    desk: Desk,
) -> None:
    await desk.bury("j1", headers=JOB)
    code, _, told = await desk.dlq("replay", "j1")
    assert code == 11
    assert "--new-id" in told
    (row,) = await desk.rows("replay", "j1", "--new-id")
    (record,) = await desk.dump(desk.topics.requests("standard"))
    assert dict(record.headers)["ce_id"].decode() == row["replayed_as"] != "j1"
    assert dict(record.headers)["headrace-reply-topic"].decode() == desk.topics.results
    (state,) = await desk.dump(desk.topics.status)
    queued = decode_status(state.value or b"")
    assert isinstance(queued, Queued)
    assert (queued.id, queued.tenant, queued.endpoint) == (row["replayed_as"], "acme", "embeddings")
    (listed,) = await desk.rows("list")
    assert listed["replayed_as"] == row["replayed_as"]


@pytest.mark.parametrize("verb", ["show", "replay"])
async def test_an_id_without_a_letter_is_named(desk: Desk, verb: str) -> None:
    await desk.bury("r1")
    code, _, told = await desk.dlq(verb, "nobody")
    assert code == 4
    assert "dead_letter_not_found: no dead letter of nobody" in told


async def test_purge_deletes_all_or_by_age_and_counts_first(desk: Desk) -> None:
    await desk.bury("r1")
    await desk.bury("r2")
    await desk.rows("replay", "r1")
    code, printed, _ = await desk.dlq("purge", "--before", "1h", "--dry-run")
    assert (code, printed) == (0, b"0 dead letters, 0 of them never replayed\n")
    code, printed, _ = await desk.dlq("purge", "--all", "--dry-run")
    assert (code, printed) == (0, b"2 dead letters, 1 of them never replayed\n")
    assert (await desk.dlq("purge", "--all"))[0] == 15
    assert len(await desk.rows("list")) == 2
    assert await desk.rows("purge", "--all", "--dry-run") == [
        {"letters": 2, "never_replayed": 1, "dry_run": True, "deleted": False}
    ]
    assert (await desk.dlq("purge", "--all", "--output", "json"))[:2] == (15, b"")
    assert await desk.rows("purge", "--all", "--yes") == [
        {"letters": 2, "never_replayed": 1, "dry_run": False, "deleted": True}
    ]
    assert await desk.rows("list") == []


async def test_purge_refuses_what_kafka_cannot_do(desk: Desk) -> None:
    await desk.bury("r1")
    code, _, told = await desk.dlq("purge", "--all", "--yes", "--tenant", "acme")
    assert code == 11
    assert "Kafka deletes the beginning of a partition" in told
    assert len(await desk.rows("list")) == 1


async def test_an_empty_topic_is_no_trouble(desk: Desk) -> None:
    assert await desk.rows("list") == []
    assert (await desk.dlq("replay", "--yes"))[0] == 0
    assert (await desk.dlq("purge", "--all", "--yes"))[0] == 0


async def test_a_missing_topic_and_a_kafka_that_is_away_have_codes_of_their_own(
    kafka: LocalKafka, topic_prefix: str, tmp_path: Path
) -> None:
    missing = Desk(kafka.bootstrap, topic_prefix, config_file(tmp_path, kafka.bootstrap, "none."))
    code, _, told = await missing.dlq("list")
    assert code == 16
    assert "kafka_topic_missing" in told
    (port,) = free_ports(1)
    away = f"127.0.0.1:{port}"
    code, _, told = await Desk(away, "x.", config_file(tmp_path, away, "x.")).dlq("list")
    assert code == 12
    assert f"kafka_unreachable: No answer from Kafka at {away}" in told
