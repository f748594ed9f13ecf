"""How long a run needed to recover, from its clients' history. Pure."""

from collections.abc import Iterable, Sequence

from faults.history.events import Event, Fail, Invoke, Ok


def first_ok_s(events: Iterable[Event], at: int) -> float | None:
    """Seconds from `at` (epoch ms) to the first request that was completed after it."""
    after = [one.at for one in events if isinstance(one, Ok) and one.at >= at]
    return (min(after) - at) / 1000 if after else None


def last_end_s(events: Sequence[Event], at: int) -> float:
    """Seconds from `at` until every request that was sent before it had its answer."""
    earlier = {one.number for one in events if isinstance(one, Invoke) and one.at <= at}
    ends = [one.at for one in events if isinstance(one, Ok | Fail) and one.number in earlier]
    return max(0.0, (max(ends, default=at) - at) / 1000)


def completed_per_s(events: Iterable[Event], begin: int, end: int) -> float:
    """Requests completed a second between two times in epoch ms."""
    done = sum(isinstance(one, Ok) and begin <= one.at < end for one in events)
    return done / ((end - begin) / 1000)
