"""The file says what the log says, however the log was cut into writes; it is this process's own."""

import sqlite3
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.ingress.index.known import KnownClaim, first, known_claim
from headrace.ingress.index.row import Pieces
from headrace.ingress.index.slots import take_slot
from headrace.ingress.index.store import Batch, Store
from headrace.schemas.claims import claim_key
from headrace.schemas.status import Status, status_key
from headrace.schemas.topics import CLAIMS_MS, RESULTS_MS
from support.states import TENANT, claim, queued, running, states_of_one_request, terminal

NAMES = count()
"""One file for all examples of a property: each has a key of its own."""
KEY = status_key(TENANT, queued().id)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "index.sqlite", RESULTS_MS)
    yield opened
    opened.close()


def folded(records: list[Status], at_ms: int = 5) -> Pieces:
    pieces = Pieces()
    for record in records:
        pieces.take(record, at_ms)
    return pieces


@given(st.lists(st.lists(states_of_one_request("r-1"), max_size=4), max_size=6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_it_folds_as_memory_does(store: Store, portions: list[list[Status]]) -> None:
    key = status_key(TENANT, queued(f"{next(NAMES)}").id)
    whole = Pieces()
    for portion in portions:
        part = folded(portion)
        whole = part.after(whole)
        store.write(Batch(status={key: part}), now_ms=5)
    found = store.read(key) or Pieces()
    owned = folded([found_ for found_ in (found.queued, found.running, found.terminal) if found_])
    row, expected = owned.row(), whole.row()
    assert (row is None) == (expected is None)
    if row is not None and expected is not None:
        assert (row.state, row.deadline_ms, row.attempt, row.chunks, row.outcome) == (
            expected.state,
            expected.deadline_ms,
            expected.attempt,
            expected.chunks,
            expected.outcome,
        )


def test_all_fields_come_back(store: Store) -> None:
    pieces = folded([queued(), running(chunks=(3, 7)), terminal()])
    store.write(Batch(status={KEY: pieces}), now_ms=5)
    assert store.read(KEY) == pieces


@pytest.mark.parametrize("number", [1, 15, 16, 17, 255, 256, 257, 1000])
def test_any_number_of_rows_is_written(store: Store, number: int) -> None:
    rows = {
        status_key(TENANT, queued(f"r-{n}").id): folded([queued(f"r-{n}")]) for n in range(number)
    }
    store.write(Batch(status=rows), now_ms=5)
    assert all(store.read(key) == pieces for key, pieces in rows.items())


def test_rows_and_offsets_are_written_together_or_not_at_all(store: Store) -> None:
    broken = folded([queued()])
    broken.at_ms = 2**70
    with pytest.raises(OverflowError):
        store.write(Batch(status={KEY: broken}, places={("status", 3): (8, 5)}), now_ms=5)
    assert store.places() == {}
    store.write(Batch(status={KEY: folded([queued()])}, places={("status", 3): (8, 5)}), now_ms=5)
    assert store.places() == {("status", 3): (8, 5)}


def test_what_is_due_is_open_and_past_its_deadline_the_oldest_first(store: Store) -> None:
    def row(name: str, *records: Status) -> tuple[bytes, Pieces]:
        return status_key(TENANT, queued(name).id), folded([*records])

    rows = dict(
        [
            row("late", queued("late", deadline_ms=90)),
            row("oldest", queued("oldest", deadline_ms=10), running("oldest")),
            row("ended", queued("ended", deadline_ms=20), terminal("ended")),
            row("young", queued("young", deadline_ms=200)),
        ]
    )
    store.write(Batch(status=rows), now_ms=5)
    assert [key.decode() for key, _ in store.due(100, 10)] == ["acme/oldest", "acme/late"]
    assert len(store.due(100, 1)) == 1
    ended = status_key(TENANT, queued("oldest").id)
    store.write(Batch(status={ended: folded([terminal("oldest")])}), now_ms=5)
    assert [key.decode() for key, _ in store.due(100, 10)] == ["acme/late"]


def test_rows_that_the_topic_keeps_no_longer_go(store: Store) -> None:
    old, young = (status_key(TENANT, queued(name).id) for name in ("old", "young"))
    store.write(Batch(status={old: folded([queued("old")], at_ms=100)}), now_ms=100)
    now_ms = 101 + RESULTS_MS
    store.write(Batch(status={young: folded([queued("young")], at_ms=now_ms)}), now_ms=now_ms)
    assert store.read(old) is None
    assert store.read(young) is not None


def at(offset: int, at_ms: int) -> KnownClaim:
    return known_claim(claim(), 3, offset, at_ms)


@given(st.lists(st.integers(0, 3 * CLAIMS_MS), min_size=1, max_size=6).map(sorted))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_the_first_claim_that_holds_wins_in_the_file_as_in_memory(
    store: Store, times: list[int]
) -> None:
    key = claim_key(TENANT, f"{next(NAMES)}")
    winner: KnownClaim | None = None
    for offset, at_ms in enumerate(times):
        winner = first(winner, at(offset, at_ms))
        store.write(Batch(claims={key: at(offset, at_ms)}), now_ms=0)
    assert store.claim(key) == winner


def test_a_file_of_another_format_or_none_at_all_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    path.write_bytes(b"no database at all" * 100)
    store = Store(path, RESULTS_MS)
    assert store.places() == {}
    store.write(Batch(places={("status", 3): (8, 5)}), now_ms=5)
    store.close()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    store = Store(path, RESULTS_MS)
    assert store.places() == {}
    store.close()


def test_each_process_has_a_file_of_its_own_and_finds_it_again(tmp_path: Path) -> None:
    one, two = take_slot(tmp_path), take_slot(tmp_path)
    assert one.path != two.path
    one.close()
    again = take_slot(tmp_path)
    assert again.path == one.path
    again.close()
    two.close()
