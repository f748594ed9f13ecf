"""Readings of the mock upstream's own log of calls."""

from headrace.cli.mock.log import LoggedCall


def waits_ms(calls: list[LoggedCall]) -> list[int]:
    """From the end of each call to the next one."""
    ends = [call.finished.finished_at for call in calls if call.finished]
    starts = [call.received.received_at for call in calls[1:]]
    return [start - end for start, end in zip(starts, ends, strict=False)]
