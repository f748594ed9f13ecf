"""How far a dispatcher is behind: what waits for its first call, read or not, and how long."""

from headrace.dispatcher.lag import Behind, waiting_since_ms
from headrace.dispatcher.tenure import Tenure
from headrace.schemas.journal import InFlight
from support.dispatch import APPENDED_MS, Record, session, tenure

NOW_MS = APPENDED_MS + 60_000


def having_read(*ages_s: int, owner: Tenure | None = None) -> Tenure:
    """A tenure that has read records of these ages, the oldest first."""
    owner = owner or tenure()
    for offset, age_s in enumerate(ages_s):
        owner.admit(Record(offset=offset, timestamp=NOW_MS - 1000 * age_s))
    return owner


def waits_s(owner: Tenure, end: int, later_s: int = 0) -> float | None:
    now_ms = NOW_MS + 1000 * later_s
    since_ms = waiting_since_ms(owner, end, now_ms)
    return None if since_ms is None else (now_ms - since_ms) / 1000


def test_nothing_waits_where_everything_was_read_and_begun() -> None:
    owner = having_read(30)
    owner.started(0, 1)
    assert waits_s(owner, end=1) is None


def test_a_record_that_was_read_waits_until_its_call() -> None:
    owner = having_read(30, 20, 10)
    assert waits_s(owner, end=3) == 30
    owner.started(0, 1)
    assert waits_s(owner, end=3) == 20
    owner.finished(1)
    assert waits_s(owner, end=3) == 10


def test_what_an_elder_runs_does_not_wait() -> None:
    owner = having_read(30, 20, owner=tenure(elders=[InFlight(0, 1, session("a"))]))
    assert waits_s(owner, end=2) == 20


def test_unread_records_wait_since_nothing_was_left_to_read() -> None:
    owner = having_read(30)
    owner.started(0, 1)
    assert waits_s(owner, end=1) is None
    assert waits_s(owner, end=2, later_s=4) == 4


def test_unread_records_are_not_older_than_the_newest_that_was_read() -> None:
    owner = tenure()
    waits_s(owner, end=1, later_s=-60)
    having_read(12, owner=owner)
    owner.started(0, 1)
    assert waits_s(owner, end=9) == 12


def test_a_record_of_a_delay_topic_waits_once_it_is_due() -> None:
    owner = having_read(30, owner=tenure(delay_ms=10_000))
    assert waits_s(owner, end=1) == 20


def test_a_lane_is_as_far_behind_as_the_worst_of_its_partitions() -> None:
    behind, long_call = Behind(), having_read(600)
    long_call.started(0, 1)
    behind.add(long_call, 1, NOW_MS)
    behind.add(having_read(5, 1), 4, NOW_MS)
    behind.add(having_read(owner=tenure(delay_ms=600_000)), 0, NOW_MS)
    assert (behind.records, behind.oldest_s, behind.waits_s) == (5, 600, 5)


def test_what_is_not_due_yet_is_not_behind() -> None:
    behind = Behind()
    behind.add(having_read(30, owner=tenure(delay_ms=60_000)), 1, NOW_MS)
    assert behind.waits_s == 0
