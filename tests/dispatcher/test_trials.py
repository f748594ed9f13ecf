"""Who of many suspects is on trial when a process dies."""

from headrace.dispatcher.trials import ALL_S, LEAST_S, PROBATION_S, Trials
from headrace.dispatcher.waiting import Waiting
from support.dispatch import tenure, waiting


def suspects(count: int, crashes: int = 1) -> tuple[Trials, list[Waiting]]:
    """So many suspects, in the order in which they will begin."""
    trials, owner = Trials(), tenure()
    made = [waiting(owner=owner, offset=offset) for offset in range(count)]
    for one in reversed(made):
        trials.add(one, crashes)
    return trials, made


def begin(trials: Trials, now_s: float) -> Waiting | None:
    """The suspect that begins now; the journal knows it then."""
    turn = trials.turn(now_s)
    if turn is None or turn.suspect is None:
        return None
    turn.suspect.tenure.started(turn.suspect.offset, 1)
    return turn.suspect


def test_one_suspect_begins_at_a_time() -> None:
    trials, (first, _) = suspects(2)
    assert begin(trials, 0) is first
    assert first.on_trial
    assert begin(trials, PROBATION_S / 2) is None


def test_the_next_one_begins_when_the_first_has_ended() -> None:
    trials, (first, second) = suspects(2)
    begin(trials, 0)
    first.tenure.finished(first.offset)
    assert begin(trials, 0.1) is second


def test_after_its_probation_a_suspect_runs_on_beside_the_next_one_and_is_on_trial_no_more() -> (
    None
):
    trials, (first, second) = suspects(2)
    begin(trials, 0)
    assert begin(trials, PROBATION_S) is second
    assert (first.on_trial, second.on_trial) == (False, True)


def test_the_last_one_to_begin_is_on_trial_for_its_probation_only_while_others_run() -> None:
    trials, (_, second) = suspects(2)
    begin(trials, 0)
    begin(trials, PROBATION_S)
    turn = trials.turn(2 * PROBATION_S)
    assert turn is not None
    assert (turn.over, turn.suspect) == ((second,), None)
    assert trials.turn(3 * PROBATION_S) is None


def test_a_suspect_that_runs_beside_no_other_stays_on_trial() -> None:
    trials, (first,) = suspects(1)
    begin(trials, 0)
    assert trials.turn(100 * PROBATION_S) is None
    assert first.on_trial


def test_many_suspects_have_shorter_probations_and_all_have_begun_in_time() -> None:
    trials, made = suspects(100)
    now_s, begun = 0.0, []
    while len(begun) < len(made):
        begun.append(begin(trials, now_s))
        now_s += trials.quiet_s(now_s, PROBATION_S)
    assert begun == made
    assert now_s <= ALL_S + PROBATION_S
    assert [one.on_trial for one in made] == [False] * 99 + [True]


def test_nothing_is_to_be_looked_at_before_a_probation_ends() -> None:
    trials, _ = suspects(2)
    assert trials.quiet_s(0, 5) == 5
    begin(trials, 0)
    assert trials.quiet_s(0.5, 5) == PROBATION_S - 0.5
    assert trials.quiet_s(0.5, 0.25) == 0.25
    assert trials.quiet_s(3 * PROBATION_S, 5) == LEAST_S, (
        "nobody asks whose turn it is: no busy loop"
    )


def test_who_was_in_hand_at_two_crashes_runs_alone_to_its_end() -> None:
    trials, (first, second) = suspects(2, crashes=2)
    alone = begin(trials, 0)
    assert alone in (first, second)
    assert begin(trials, 100 * PROBATION_S) is None
    assert alone is not None
    alone.tenure.finished(alone.offset)
    assert begin(trials, 100 * PROBATION_S) in (first, second)


def test_suspects_of_a_partition_that_was_lost_are_forgotten() -> None:
    trials, (first, _) = suspects(2)
    first.tenure.owned = False
    assert begin(trials, 0) is None
