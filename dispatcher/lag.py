"""How long the records of a partition wait for their first call. No I/O; times are broker time, epoch ms."""

from headrace.dispatcher.tenure import Tenure


class Behind:
    """How far one process is behind in its partitions of one lane."""

    def __init__(self) -> None:
        self.records = 0
        """Not read, or not finished."""
        self.oldest_s = 0.0
        """Age of the oldest record that was read and is not finished."""
        self.waits_s = 0.0
        """How long the record waits that has waited longest without a call, read or not."""

    def add(self, tenure: Tenure, end: int, now_ms: int) -> None:
        """Count a partition in which there is something to read up to `end`."""
        self.records += max(0, end - tenure.tracker.watermark)
        oldest_ms, since_ms = tenure.oldest_ms(), waiting_since_ms(tenure, end, now_ms)
        if oldest_ms is not None:
            self.oldest_s = max(self.oldest_s, (now_ms - oldest_ms) / 1000)
        if since_ms is not None:
            self.waits_s = max(self.waits_s, (now_ms - since_ms) / 1000)


def waiting_since_ms(tenure: Tenure, end: int, now_ms: int) -> int | None:
    """Since when the record waits that has waited longest without a call; None: none does. Ask it often.

    Of those that were read it is known. The first of those up to `end` that were not cannot be older than the
    newest that was read, nor than the last time at which nothing was left to read: it counts from there. A
    record of a delay topic waits once it is due.
    """
    unread = end > tenure.tracker.next_offset
    if not unread or not tenure.read_out_ms:
        tenure.read_out_ms = now_ms
    newest_ms = 0
    for offset, newest_ms in tenure.stamps.items():
        if not tenure.begun(offset):
            return newest_ms + tenure.delay_ms
    return max(newest_ms, tenure.read_out_ms) + tenure.delay_ms if unread else None
