"""What will wait for long is put aside once it keeps others from being read; what goes soon is not."""

from collections import Counter

from msgspec import structs
from prometheus_client import CollectorRegistry

from headrace.dispatcher.crowds import LEAST_MS, MEASURED_MS, MOST_MS, SLOW_MS, Crowds
from headrace.dispatcher.lanes import LaneQueues, kind_of
from headrace.dispatcher.metrics import Metrics
from headrace.dispatcher.tenure import Tenure
from headrace.dispatcher.waiting import Waiting
from headrace.dispatcher.waits import MOST_LEAVING, Waits
from headrace.schemas.config.model import DispatcherConfig
from headrace.schemas.names import KeyName, ModelName
from support.dispatch import APPENDED_MS, LANE, Record, tenure, waiting

ROOM = 100
BYTES = 1_048_576
M = ModelName("m")
KNOWN_S = MEASURED_MS // 1000 + 1
"""A kind is seen at the first look."""


class Room:
    """Queues with room for `ROOM` requests, and a clock that is moved."""

    def __init__(self, window: int = 16_384) -> None:
        limits = DispatcherConfig(
            read_ahead_records=ROOM, read_ahead_bytes=BYTES, partition_window=window
        )
        self.now_ms = APPENDED_MS
        self.read = 0
        self.queues = LaneQueues([LANE], 0.0)
        self.waits = Waits(limits)
        self.aside: list[Waiting] = []
        self.left_ms: list[int] = []
        metrics = Metrics(CollectorRegistry())
        self.crowds = Crowds(limits, self.queues, self.waits, self._delay, metrics)

    def _delay(self, waiting: Waiting, now_ms: int) -> None:
        self.aside.append(waiting)
        self.left_ms.append(now_ms)

    def come(
        self,
        count: int,
        *,
        tenant: str = "many",
        size: int = 1,
        owner: Tenure | None = None,
        deadline_s: int = 3_600,
    ) -> None:
        """Requests are read, each younger than the one before it."""
        for offset in range(count):
            if owner is not None:
                owner.admit(Record(offset=offset))
            one = waiting(tenant=tenant, size=size, owner=owner, offset=offset)
            one.source = structs.replace(one.source, timestamp_ms=APPENDED_MS + self.read)
            one.deadline_ms = APPENDED_MS + deadline_s * 1000
            self.read += 1
            self.queues.push(one)

    def due(self) -> list[Waiting]:
        """Those aside whose wait is over."""
        return [one for one in self.aside if one.due_ms <= self.now_ms]

    def come_back(self, back: list[Waiting]) -> None:
        """Some that were put aside are read from the delay topics."""
        gone = set(map(id, back))
        self.aside = [one for one in self.aside if id(one) not in gone]
        for one in back:
            self.queues.push(one)

    def go_on(self, seconds: int, *, picks: int = 0) -> None:
        """Time goes on, and so many requests begin in each second."""
        for _ in range(seconds):
            for _ in range(picks):
                self.queues.pick(M)
            self.now_ms += 1000
            self.crowds.turn(self.now_ms)

    def waits_of(self) -> list[int]:
        """How long each that was put aside is to wait, in ms."""
        return [one.due_ms - self.now_ms for one in self.aside]


def slow_room() -> Room:
    """A full room of which one goes a second: 30 have stayed, 59 were put aside."""
    room = Room()
    room.come(ROOM)
    room.go_on(KNOWN_S, picks=1)
    return room


def test_a_lane_with_room_is_left_alone() -> None:
    room = Room()
    room.come(ROOM // 2)
    room.go_on(60)
    assert room.aside == []


def test_a_full_lane_that_goes_fast_is_left_alone() -> None:
    room = Room()
    for _ in range(30):
        room.come(10)
        room.go_on(1, picks=9)
    room.come(ROOM - room.queues.records[LANE])
    room.go_on(1, picks=9)
    assert room.aside == []


def test_a_slow_kind_keeps_what_it_needs_and_the_rest_waits_for_half_of_its_time() -> None:
    room = slow_room()
    # 89 are left, and begin one a second: 30 of them within half a minute.
    assert room.queues.records[LANE] == SLOW_MS // 1000 == 30
    assert len(room.aside) == 59
    assert min(room.waits_of()) >= LEAST_MS
    assert abs(max(room.waits_of()) - 45_000) < 1_500


def test_those_that_follow_are_put_aside_for_longer() -> None:
    room = slow_room()
    first = max(room.waits_of())
    room.aside.clear()
    room.come(70)
    room.go_on(1, picks=1)
    assert first - 5_000 < min(room.waits_of()) < max(room.waits_of()) <= MOST_MS


def test_one_that_comes_back_is_not_put_behind_younger_ones() -> None:
    room = slow_room()
    older = list(room.aside)
    room.come(70)
    for _ in range(40):
        room.go_on(1, picks=1)
        room.come_back(room.due())
    back = [one for one in older if one not in room.aside]
    room.come(ROOM // 2)
    room.go_on(1, picks=1)
    # Most are back, and a few of these beyond the 30 that stay: their turn comes soon after.
    again = [one.due_ms - room.now_ms for one in back if one in room.aside]
    assert again
    assert LEAST_MS <= max(again) < 25_000


def test_one_that_comes_back_is_behind_older_ones_that_are_aside() -> None:
    room = slow_room()
    older = len(room.aside)
    room.come(70)
    room.go_on(1, picks=1)
    younger = room.aside[older:]
    room.come_back(younger)
    room.aside.clear()
    room.go_on(1, picks=1)
    # Each waits for half of the time that 30 here and 59 aside take, at least.
    assert room.aside
    assert min(room.waits_of()) > 42_000


def test_a_backlog_goes_in_its_order_and_without_a_gap_and_each_comes_back_a_few_times() -> None:
    """At one a second 3,000 are 50 minutes of work, far more than one may wait for at once."""
    room, count = Room(), 3_000
    served: list[Waiting] = []
    left: Counter[int] = Counter()
    while len(served) < count:
        room.come_back(room.due())
        if room.queues.records[LANE] < ROOM:
            room.come(min(ROOM, count - room.read), deadline_s=86_400)
        picked = room.queues.pick(M)
        assert picked is not None, f"idle after {len(served)}"
        served.append(picked)
        stayed = set(map(id, room.aside))
        room.go_on(1)
        left.update(one.rank for one in room.aside if id(one) not in stayed)
    assert max(abs(APPENDED_MS + place - one.rank) for place, one in enumerate(served)) <= 60
    assert max(left.values()) <= 12


def test_no_more_leave_than_may_and_those_that_stay_keep_their_turn() -> None:
    room = Room()
    room.waits.leaving = MOST_LEAVING - 10
    room.come(ROOM)
    room.go_on(KNOWN_S + 1, picks=1)
    # Ten leave in each of two seconds: each one's turn is a second after the one before it.
    turns = [2 * (one.due_ms - at) for one, at in zip(room.aside, room.left_ms, strict=True)]
    assert len(turns) == 20
    assert all(30_000 < turn <= 52_000 for turn in turns)


def test_nothing_sleeps_until_its_deadline() -> None:
    room = Room()
    room.come(ROOM)
    for one in next(iter(room.queues.kinds().values())):
        one.deadline_ms = APPENDED_MS + 60_000
    room.go_on(KNOWN_S)
    assert room.aside
    assert all(one.due_ms <= room.now_ms + 25_000 for one in room.aside)


def test_a_large_body_whose_turn_is_next_stays() -> None:
    room = Room()
    for number in range(20):
        room.come(1, tenant=f"t{number}", size=BYTES // 20)
    room.go_on(KNOWN_S)
    assert room.aside == []


def test_keys_with_limits_of_their_own_are_told_apart() -> None:
    one, other = waiting(), waiting()
    assert kind_of(one) == kind_of(other)
    other.record = structs.replace(other.record, key_name=KeyName("ci"))
    assert kind_of(one) != kind_of(other)


def test_a_kind_that_stands_still_keeps_few_and_looks_again_soon() -> None:
    room = Room()
    room.come(ROOM)
    room.go_on(KNOWN_S)
    assert 1 <= room.queues.records[LANE] <= ROOM // 10
    assert set(room.waits_of()) == {SLOW_MS}


def test_many_slow_kinds_leave_room_together() -> None:
    room = Room()
    for number in range(20):
        room.come(ROOM // 20, tenant=f"t{number}")
    room.go_on(KNOWN_S)
    assert 0 < room.queues.records[LANE] <= ROOM * 3 // 4


def test_a_kind_that_is_fast_stays_beside_one_that_is_slow() -> None:
    room = Room()
    slow = ModelName("slow")
    for _ in range(ROOM - 20):
        one = waiting(model="slow")
        one.deadline_ms = APPENDED_MS + 3_600_000
        room.queues.push(one)
    for _ in range(20):
        room.come(5, tenant="few")
        room.go_on(1, picks=5)
    assert {one.model for one in room.aside} == {slow}


def test_large_bodies_are_put_aside_by_their_bytes() -> None:
    room = Room()
    room.come(20, size=BYTES // 20)
    room.go_on(KNOWN_S)
    assert room.queues.bytes[LANE] <= BYTES * 3 // 4


def test_the_oldest_of_a_window_that_fills_are_put_aside_though_there_is_room() -> None:
    """Each of them kept its partition from being read on, until its turn came."""
    room, owner = Room(window=64), tenure()
    room.come(40, owner=owner)
    room.go_on(KNOWN_S)
    assert sorted(one.offset for one in room.aside) == list(range(16))


def test_nothing_is_put_aside_that_ends_soon_or_was_begun_and_no_more_than_may_leave() -> None:
    room = Room()
    room.come(ROOM)
    every = next(iter(room.queues.kinds().values()))
    for one in every[:50]:
        one.started = True
    for one in every[50:75]:
        one.deadline_ms = APPENDED_MS + MEASURED_MS + LEAST_MS
    room.waits.leaving = MOST_LEAVING - 5
    room.go_on(KNOWN_S)
    assert len(room.aside) == 5
    assert not any(one.started for one in room.aside)
