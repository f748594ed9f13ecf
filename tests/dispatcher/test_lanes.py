"""Strict priority with a share; nothing starves and nothing is lost count of."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec import structs

from headrace.dispatcher.lanes import LaneQueues
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.names import LaneName, ModelName
from support.dispatch import waiting

HIGH, MIDDLE, LOW = (LaneName(name) for name in ("high", "middle", "low"))
LANES = [HIGH, MIDDLE, LOW]
M = ModelName("m")


def filled(
    counts: dict[LaneName, int], share: float, models: tuple[str, ...] = ("m",)
) -> LaneQueues:
    """Queues with so many requests of each model in each lane."""
    queues = LaneQueues(LANES, share)
    for lane, count in counts.items():
        for model in models:
            for _ in range(count):
                queues.push(waiting(lane=lane, model=model))
    return queues


def picks(queues: LaneQueues, count: int, model: str = "m") -> list[LaneName]:
    """The lanes of the next `count` picks."""
    out = []
    for _ in range(count):
        taken = queues.pick(ModelName(model))
        assert taken is not None
        out.append(taken.lane)
    return out


def test_without_a_share_the_higher_lane_goes_first_to_its_end() -> None:
    queues = filled({HIGH: 20, LOW: 20}, share=0)
    assert picks(queues, 40) == [HIGH] * 20 + [LOW] * 20


def test_a_lane_may_let_the_earliest_deadline_go_first() -> None:
    queues = LaneQueues(LANES, 0)
    for left_ms in (900, 100, 500):
        one = waiting(lane=LOW)
        one.by_deadline, one.deadline_ms = True, left_ms
        queues.push(one)
    picked = [queues.pick(M) for _ in range(3)]
    assert [one.deadline_ms for one in picked if one is not None] == [100, 500, 900]


def test_a_lane_alone_gets_every_pick() -> None:
    assert picks(filled({LOW: 5}, share=0.1), 5) == [LOW] * 5


def test_a_tenth_goes_below_a_busy_lane() -> None:
    queues = filled({HIGH: 200, LOW: 200}, share=0.1)
    assert 9 <= Counter(picks(queues, 100))[LOW] <= 10


def test_picks_made_while_nothing_waits_below_are_not_paid_back_later() -> None:
    queues = filled({HIGH: 100}, share=0.5)
    picks(queues, 50)
    for _ in range(10):
        queues.push(waiting(lane=LOW))
    assert picks(queues, 4) == [HIGH, LOW, HIGH, LOW]


def test_two_models_picked_in_turn_both_reach_their_lower_lanes() -> None:
    queues = filled({HIGH: 50, LOW: 50}, share=0.5, models=("a", "b"))
    seen = {"a": Counter[LaneName](), "b": Counter[LaneName]()}
    for _ in range(20):
        for model in ("a", "b"):
            seen[model].update(picks(queues, 1, model))
    assert seen["a"][LOW] == seen["b"][LOW] == 10


def test_one_lane_of_one_model_is_first_in_first_out() -> None:
    queues = LaneQueues(LANES, 0.1)
    requests = [waiting(lane=LOW) for _ in range(4)]
    for request in requests:
        queues.push(request)
    assert [queues.pick(M) for _ in requests] == requests


def test_one_that_waited_before_goes_first_in_its_lane_and_not_before_a_higher_one() -> None:
    queues = filled({HIGH: 1, LOW: 1}, share=0)
    again = waiting(lane=LOW)
    again.source = structs.replace(again.source, timestamp_ms=again.rank - 1)
    queues.push(again)
    assert picks(queues, 1) == [HIGH]
    assert queues.pick(M) is again


def test_a_model_without_work_gives_nothing() -> None:
    queues = filled({HIGH: 1}, share=0.1, models=("a",))
    assert queues.pick(ModelName("b")) is None
    assert list(queues.models()) == [ModelName("a")]


def test_each_model_with_work_is_named_once() -> None:
    queues = filled({HIGH: 2, LOW: 2}, share=0.1, models=("a", "b"))
    assert sorted(queues.models()) == ["a", "b"]


def test_taking_out_keeps_the_order_of_the_rest() -> None:
    queues = LaneQueues(LANES, 0.1)
    requests = [waiting(lane=HIGH, size=size) for size in range(6)]
    for request in requests:
        queues.push(request)
    assert queues.take(lambda w: w.size % 2 == 0) == requests[::2]
    assert [queues.pick(M) for _ in range(3)] == requests[1::2]


@pytest.mark.parametrize("busy", [[HIGH, MIDDLE, LOW], [HIGH, MIDDLE], [HIGH, LOW], [MIDDLE, LOW]])
@given(share=st.floats(0.01, 0.5), count=st.integers(1, 300))
@settings(max_examples=25, deadline=None)
def test_each_busy_lane_gets_its_share(busy: list[LaneName], share: float, count: int) -> None:
    queues = filled(dict.fromkeys(busy, count), share)
    seen = Counter(picks(queues, count))
    below = count
    for lane in busy[:-1]:
        # One pick of each lane above may be owed, and rounding may owe another.
        assert seen[lane] >= below * (1 - share) - 2
        below = int(below * share) - 2
        assert sum(seen[low] for low in busy[busy.index(lane) + 1 :]) >= below


class Accounts(RuleBasedStateMachine):
    """The counted records and bytes beside a plain list of what waits."""

    def __init__(self) -> None:
        super().__init__()
        self.queues = LaneQueues(LANES, 0.3)
        self.inside: list[Waiting] = []

    @rule(
        lane=st.sampled_from(LANES),
        model=st.sampled_from("ab"),
        size=st.integers(0, 9),
    )
    def push(self, lane: LaneName, model: str, size: int) -> None:
        request = waiting(lane=lane, model=model, size=size)
        self.inside.append(request)
        self.queues.push(request)

    @rule(model=st.sampled_from("ab"))
    def pick(self, model: str) -> None:
        taken = self.queues.pick(ModelName(model))
        assert (taken is None) == all(w.model != model for w in self.inside)
        if taken is not None:
            assert taken.model == model
            self.inside.remove(taken)

    @rule(size=st.integers(0, 9))
    def take(self, size: int) -> None:
        taken = self.queues.take(lambda w: w.size == size)
        assert {id(w) for w in taken} == {id(w) for w in self.inside if w.size == size}
        self.inside = [w for w in self.inside if w.size != size]

    @invariant()
    def counts_are_what_waits(self) -> None:
        for lane in LANES:
            sizes = [w.size for w in self.inside if w.lane == lane]
            assert self.queues.records[lane] == len(sizes)
            assert self.queues.bytes[lane] == sum(sizes)
        assert set(self.queues.models()) == {w.model for w in self.inside}


Accounts.TestCase.settings = settings(max_examples=40, stateful_step_count=30)
TestAccounts = Accounts.TestCase
