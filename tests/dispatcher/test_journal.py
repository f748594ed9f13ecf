"""What a successor learns from the journal."""

from headrace.dispatcher.journal import bookmark, open_at
from headrace.schemas.journal import (
    LOST,
    WORK,
    Bury,
    Claim,
    Entry,
    InFlight,
    Mark,
    Release,
    SessionId,
    Snap,
    Work,
    decode,
    encode,
    process_of,
)
from support.dispatch import process, session
from support.partition import replay

A, B = session("a"), session("b", 7)


def claim(name: SessionId) -> Claim:
    """A CLAIM of a session."""
    return Claim(name, process_of(name))


def test_every_entry_reads_back_as_it_was_written() -> None:
    entries: list[Entry] = [
        claim(A),
        Work(A, [(1, 1)], [(0, "completed")], [(1, True)], [Mark("t-0-3", 4, A, 2, 9)]),
        Bury(A, [2]),
        Snap(A, 3, [(4, 6)], [InFlight(3, 2, A)], [(7, 1)], 12, True, (2, 99), [(3, 1)], [3]),
        Release(A),
    ]
    assert [decode(encode(entry)) for entry in entries] == entries
    assert [encode(entry).startswith(WORK) for entry in entries] == [
        False,
        True,
        False,
        False,
        False,
    ]


def test_a_session_belongs_to_its_process() -> None:
    assert process_of(SessionId("d-1.2.3")) == process("d-1.2")


def test_the_owner_starts_and_ends() -> None:
    state = replay([claim(A), Work(A, [(1, 1), (2, 1)], [(1, "completed")])], None)
    assert state.owner == A
    assert state.done == {1}
    assert state.unfinished() == ([InFlight(2, 1, A)], {})


def test_an_older_session_may_end_what_it_had_started() -> None:
    state = replay([claim(A), Work(A, [(1, 1)]), claim(B), Work(A, [], [(1, "failed")])], None)
    assert state.done == {1}
    assert state.in_flight == {}


def test_an_older_session_may_not_start_or_end_anything_else() -> None:
    state = replay([claim(A), claim(B), Work(A, [(1, 1)], [(1, "x"), (2, "x")])], None)
    assert (state.done, state.in_flight, state.owner) == (set(), {}, B)


def test_an_older_session_may_repeat_what_it_had_started() -> None:
    state = replay([claim(A), Work(A, [(1, 1)]), claim(B), Work(A, [(1, 2)])], None)
    assert state.in_flight == {1: InFlight(1, 2, A)}


def test_the_snap_of_an_older_session_is_ignored() -> None:
    state = replay([claim(A), claim(B), Snap(A, 9, [(9, 20)], [])], None)
    assert (state.watermark, state.done) == (0, set())


def test_an_older_session_cannot_end_what_the_owner_runs_now() -> None:
    log: list[Entry] = [claim(A), Work(A, [(1, 1)]), claim(B)]
    log += [Work(B, [(1, 2)]), Work(A, [], [(1, "x")])]
    state = replay(log, None)
    assert state.in_flight == {1: InFlight(1, 2, B)}
    assert state.done == set()


def test_a_call_cut_short_is_lost_until_it_is_started_again() -> None:
    log: list[Entry] = [claim(A), Work(A, [(1, 3)], [(1, LOST)])]
    assert replay(log, None).unfinished() == ([], {1: 3})
    log += [claim(B), Work(B, [(1, 4)])]
    assert replay(log, None).unfinished() == ([InFlight(1, 4, B)], {})


def test_what_a_released_session_left_is_lost() -> None:
    state = replay([claim(A), Work(A, [(1, 2)]), Release(A)], None)
    assert state.unfinished() == ([], {1: 2})


def test_a_snap_stands_for_what_its_session_wrote_before() -> None:
    snap = Snap(A, 4, [(6, 8)], [InFlight(4, 1, A)], [(5, 2)])
    state = replay([snap], A)
    assert (state.watermark, state.done) == (4, {6, 7})
    assert state.unfinished() == ([InFlight(4, 1, A)], {5: 2})


def test_an_end_that_the_maker_of_a_snap_had_not_read_still_counts() -> None:
    held = InFlight(5, 1, A)
    log: list[Entry] = [Work(A, [], [(5, "completed")]), Snap(B, 5, [], [held])]
    state = replay(log, B)
    assert (state.done, state.in_flight) == ({5}, {})


def test_a_repetition_that_the_maker_of_a_snap_had_not_read_still_counts() -> None:
    log: list[Entry] = [Work(A, [(5, 2)]), Snap(B, 5, [], [InFlight(5, 1, A)])]
    assert replay(log, B).in_flight == {5: InFlight(5, 2, A)}


def test_a_journal_whose_beginning_is_gone_is_taken_as_it_comes() -> None:
    state = replay([Work(A, [(8, 1)], [(7, "completed")]), Snap(B, 6, [(7, 8)], [])], None)
    assert (state.owner, state.watermark, state.done) == (B, 6, {7})


def test_a_bookmark_reads_back_and_anything_else_is_the_beginning() -> None:
    assert open_at(bookmark(41, B), 41) == (41, B)
    for mark in ("", "41", "x y", "-1 a.1", "٤ a.1", " "):
        assert open_at(mark, 99) == (0, None)


def test_a_bookmark_of_a_journal_that_was_created_anew_is_none() -> None:
    """What came before it was not read, nor the own CLAIM: nobody owned the partition."""
    assert open_at(bookmark(41, B), 40) == (0, None)
