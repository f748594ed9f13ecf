"""Who was asked for in vain goes behind the others, and has its turn again."""

from headrace.dispatcher.passed import PASSED_MS, REST_MS, PassedOver
from headrace.schemas.limits import Flow
from support.limits import flow

A, B, C, D = (flow(name) for name in "abcd")
ALL = (A, B, C, D)
EVERY_MS = 20


class Asking:
    """Asks every 20 ms for as many as there are free seats."""

    def __init__(self, *queued: Flow, free: int = 1) -> None:
        self.passed = PassedOver()
        self.queued = list(queued)
        self.free = free
        self.now_ms = 0
        self.told: list[Flow] = []

    def look(self) -> list[Flow]:
        self.passed.look(self.now_ms)
        self.told = self.passed.order(dict.fromkeys(self.queued, self.free))[: self.free]
        self.passed.asked(self.told, self.queued)
        self.now_ms += EVERY_MS
        return self.told

    def run(self, ms: int, *served: Flow) -> list[Flow]:
        """The first who was asked for at each look; `served` are at once."""
        first = []
        for _ in range(ms // EVERY_MS):
            told = self.look()
            first += told[:1]
            for one in set(told) & set(served):
                self.passed.promised(one)
                self.queued.remove(one)
                self.queued.append(one)
        return first


def turns(asked: list[Flow]) -> list[Flow]:
    """Without repeats."""
    return [one for at, one in enumerate(asked) if at == 0 or asked[at - 1] != one]


def test_where_nothing_was_in_vain_the_order_stays() -> None:
    asking = Asking(*ALL, free=4)
    asking.run(PASSED_MS)
    assert asking.told == list(ALL)


def test_each_is_asked_for_by_turns_where_all_is_in_vain() -> None:
    asked = Asking(*ALL).run(3 * len(ALL) * PASSED_MS)
    assert turns(asked) == [*ALL] * 3


def test_who_is_blocked_stays_behind_and_has_a_turn_after_each_rest() -> None:
    asking = Asking(*ALL)
    asking.run(2 * PASSED_MS)
    asked = asking.run(10 * (REST_MS + PASSED_MS), C, D)
    looks = [one for one in turns(asked) if one in (A, B)]
    assert looks == [A, B] * 5
    assert sum(one in (A, B) for one in asked) <= len(asked) / 5 + 10


def test_time_without_a_free_seat_is_not_in_vain_and_takes_nothing_back() -> None:
    asking = Asking(A, B)
    asking.run(PASSED_MS - EVERY_MS)
    asking.free = 0
    asking.run(3 * PASSED_MS)
    asking.free = 1
    assert turns(asking.run(PASSED_MS)) == [A, B]


def test_a_promise_or_the_end_of_a_call_gives_the_place_back() -> None:
    for eased in (PassedOver.promised, PassedOver.ended):
        asking = Asking(A, B)
        asking.run(PASSED_MS)
        assert asking.look() == [B]
        eased(asking.passed, A)
        assert asking.look() == [A]


def test_one_whose_lane_has_no_room_keeps_no_turn_from_others() -> None:
    asking = Asking(A, B, C)
    asking.run(2 * PASSED_MS)
    assert asking.look() == [C]
    asking.passed.asked([], asking.queued)
    asking.passed.look(asking.now_ms + REST_MS)
    assert asking.passed.order({A: 0, B: 1, C: 1}) == [B, C, A]


def test_nothing_is_kept_of_empty_queues() -> None:
    asking = Asking(*ALL, free=4)
    asking.run(2 * PASSED_MS)
    assert len(asking.passed._vain_ms) == len(asking.passed._passed_ms) == len(ALL)
    asking.queued = [A]
    asking.look()
    assert set(asking.passed._vain_ms) == set(asking.passed._passed_ms) == {A}


def test_what_is_left_over_does_not_keep_others_from_their_turns() -> None:
    """A flow with room of its own was asked for without pause: nobody else's turn ever came."""
    passed, room = PassedOver(), {A: 1, B: 1, C: 3}
    passed.asked([B, C], room)
    turns_of_b = 0
    for now_ms in range(PASSED_MS, 20 * REST_MS, EVERY_MS):
        passed.look(now_ms)
        order = passed.order(room)
        turns_of_b += order[0] == B
        passed.asked([order[0], C], room)
        if order[0] == A:
            passed.promised(A)
    assert turns_of_b >= 5 * PASSED_MS / EVERY_MS


def test_a_turn_stays_below_higher_lanes() -> None:
    high, low = flow("a", lane="interactive"), flow("b", lane="batch")
    passed = PassedOver()
    passed.asked([low], [low])
    for now_ms in (PASSED_MS // 2, PASSED_MS, PASSED_MS + REST_MS):
        passed.look(now_ms)
        passed.asked([], [high, low])
        if now_ms < PASSED_MS:
            passed.asked([low], [high, low])
    other = flow("c", lane="batch")
    assert passed.order({high: 1, low: 1, other: 1}) == [high, low, other]
