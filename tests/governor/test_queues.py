"""What a report tells of a queue."""

from headrace.dispatcher.governor.queues import NEAR_MS, merged
from headrace.schemas.limits import Units, Want

SMALL, LARGE = Units(1, 10, 20), Units(1, 500, 20)


def test_equal_neighbours_of_about_one_time_are_told_together() -> None:
    sizes = [(1_000, SMALL), (1_000 + NEAR_MS, SMALL), (1_001 + NEAR_MS, SMALL), (1_200, LARGE)]
    assert merged(sizes) == [
        Want(1_000, 10, 20, 2), Want(1_001 + NEAR_MS, 10, 20, 1), Want(1_200, 500, 20, 1)
    ]  # fmt: skip


def test_nothing_queued_is_nothing_told() -> None:
    assert merged([]) == []
