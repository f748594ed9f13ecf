"""What a sequence of records on `status` means."""

from hypothesis import given
from hypothesis import strategies as st

from headrace.ingress.index.row import Pieces, State
from headrace.schemas.names import Outcome
from headrace.schemas.status import Queued, Running, Status, Terminal
from support.states import queued, running, states_of_one_request, terminal


def folded(*records: Status) -> Pieces:
    pieces = Pieces()
    for number, record in enumerate(records):
        pieces.take(record, number)
    return pieces


def test_a_request_goes_from_queued_over_running_to_its_outcome() -> None:
    steps: tuple[Status, ...] = (queued(), running(), terminal())
    rows = [folded(*steps[:n]).row() for n in range(4)]
    assert rows[0] is None
    assert [row.state for row in rows[1:] if row] == [State.QUEUED, State.RUNNING, State.COMPLETED]


def test_the_first_outcome_counts() -> None:
    pieces = folded(queued(), terminal(outcome=Outcome.CANCELLED, by="api"))
    assert not pieces.take(terminal(outcome=Outcome.COMPLETED), 9)
    row = pieces.row()
    assert row is not None
    assert (row.state, row.by) == (State.CANCELLED, "api")


def test_a_request_that_was_never_accepted_makes_no_row() -> None:
    assert folded(running(), terminal()).row() is None


def test_queued_may_come_last() -> None:
    assert (
        folded(terminal(), running(), queued()).row()
        == folded(queued(), running(), terminal()).row()
    )


def test_a_later_attempt_replaces_an_earlier_one_and_its_chunks() -> None:
    row = folded(queued(), running(attempt=1, chunks=(3, 7)), running(attempt=2)).row()
    assert row is not None
    assert (row.attempt, row.chunks) == (2, None)


def test_an_earlier_attempt_that_comes_late_changes_nothing() -> None:
    pieces = folded(queued(), running(attempt=2))
    assert not pieces.take(running(attempt=1, chunks=(3, 7)), 9)


def test_chunks_are_those_of_the_attempt_that_answered() -> None:
    row = folded(queued(), running(attempt=2, chunks=(3, 7)), terminal(attempt=1)).row()
    assert row is not None
    assert (row.attempt, row.chunks) == (1, None)
    row = folded(queued(), running(attempt=2, chunks=(3, 7)), terminal(attempt=2)).row()
    assert row is not None
    assert row.chunks == (3, 7)


@given(st.lists(states_of_one_request(), max_size=12), st.integers(0, 12))
def test_a_log_may_be_folded_in_two_portions(records: list[Status], cut: int) -> None:
    older, newer = folded(*records[:cut]), Pieces()
    for number, record in enumerate(records[cut:]):
        newer.take(record, cut + number)
    whole, parts = folded(*records), newer.after(older)
    assert (parts.queued, parts.running, parts.terminal) == (
        whole.queued,
        whole.running,
        whole.terminal,
    )


@given(st.lists(states_of_one_request(), max_size=12))
def test_the_outcome_is_that_of_the_first_terminal_record(records: list[Status]) -> None:
    first = next((record for record in records if isinstance(record, Terminal)), None)
    row = folded(*records).row()
    if any(isinstance(record, Queued) for record in records):
        assert row is not None
        assert row.outcome == (first.outcome if first else None)
        assert row.ended == (first is not None)
        if first is None and any(isinstance(record, Running) for record in records):
            assert row.state is State.RUNNING
