"""Who owns a partition is decided by the order of its log."""

from headrace.dispatcher.governor.epochs import Contest, Epochs
from headrace.schemas.journal import ProcessId
from headrace.schemas.limits import Beat, Claim, Epoch
from support.limits import TIMING

A, B = ProcessId("a"), ProcessId("b")


def contest_of(name: ProcessId, rank: int = 0) -> Contest:
    contest = Contest(name, rank, TIMING, 0)
    contest.caught_up(0)
    return contest


def claim(epoch: int, owner: ProcessId) -> Claim:
    return Claim(Epoch(epoch), owner)


def test_records_of_an_older_epoch_count_for_nothing() -> None:
    epochs = Epochs()
    assert epochs.counts(claim(1, A))
    assert epochs.counts(claim(2, B))
    assert not epochs.counts(Beat(Epoch(1), 5))
    assert epochs.counts(Beat(Epoch(2), 1))


def test_of_two_claims_with_one_number_the_first_counts() -> None:
    epochs = Epochs()
    assert epochs.counts(claim(3, A))
    assert not epochs.counts(claim(3, B))


def test_a_reader_that_begins_in_the_middle_takes_the_epoch_it_finds() -> None:
    epochs = Epochs()
    assert epochs.counts(Beat(Epoch(7), 5))
    assert not epochs.counts(Beat(Epoch(6), 5))


def test_a_standby_claims_when_the_owner_is_silent_and_later_with_each_rank() -> None:
    first, second = contest_of(A, 0), contest_of(B, 1)
    assert first.tick(999) is None
    assert first.tick(1_000) == claim(1, A)
    assert second.tick(1_249) is None
    assert second.tick(1_250) == claim(1, B)


def test_a_beat_that_counts_puts_the_claim_off() -> None:
    contest = contest_of(A, 0)
    contest.follow(claim(1, B), 900)
    contest.follow(Beat(Epoch(1), 1), 1_000)
    assert contest.tick(1_999) is None
    assert contest.tick(2_000) == claim(2, A)


def test_beats_of_a_zombie_put_no_claim_off() -> None:
    contest = contest_of(A, 0)
    contest.follow(claim(2, B), 100)
    contest.follow(Beat(Epoch(1), 1), 1_000)
    assert contest.tick(1_100) == claim(3, A)


def test_only_the_first_claim_in_the_log_makes_an_owner() -> None:
    first, second = contest_of(A, 0), contest_of(B, 0)
    log = [one for one in (second.tick(1_000), first.tick(1_000)) if one is not None]
    assert [first.follow(record, 1_010) for record in log] == [False, False]
    assert [second.follow(record, 1_010) for record in log] == [True, False]


def test_a_claim_is_above_what_dispatchers_know() -> None:
    contest = contest_of(A, 0)
    contest.heard_of(Epoch(7))
    assert contest.tick(1_000) == claim(8, A)


def test_an_epoch_that_there_cannot_have_been_is_not_believed() -> None:
    contest = contest_of(A, 0)
    assert not contest.heard_of(Epoch(1 << 60))
    assert contest.tick(1_000) == claim(1, A)


def test_who_has_not_read_the_log_claims_nothing() -> None:
    """Else it could claim below an epoch that stands there."""
    contest = Contest(A, 0, TIMING, 0)
    assert contest.tick(60_000) is None
    contest.follow(claim(3, B), 60_000)
    contest.caught_up(60_100)
    assert contest.tick(61_099) is None
    assert contest.tick(61_100) == claim(4, A)
