"""The broker's clock, learned from acks, so that a wrong wall clock on a host changes nothing.

Every topic carries the broker's append time. The ack of an own record tells that time; it was
received a little later. Receipt minus append time is therefore (own clock - broker's clock) plus the
way back, and the smallest such difference of the last minute is the best one: `now_ms` is the
broker's time or slightly less, never more, so that nothing gated on it happens early.

Pure: own time is passed in, as milliseconds of a clock that never goes back.
"""

from collections import deque

WINDOW_MS = 60_000
_BUCKET_MS = 5_000


class BrokerClock:
    """Broker time from own monotonic milliseconds.

    `assumed_offset_ms` (own clock - wall clock) serves until the first ack: plain wall-clock time,
    good enough to stamp a deadline, not to decide that a delay is over. With no ack for longer than
    the window the last differences stay: two quartz clocks part by milliseconds a minute at worst.
    """

    __slots__ = ("_buckets", "_offset_ms", "known")

    def __init__(self, assumed_offset_ms: float) -> None:
        self._offset_ms = assumed_offset_ms
        self._buckets: deque[tuple[int, float]] = deque()
        """(bucket number, smallest difference in it), oldest first."""
        self.known = False
        """True once an ack was seen; delay readers wait for it."""

    def observe(self, ack_timestamp_ms: int, received_at_ms: float) -> None:
        """Learn from an ack: the record's append time, and the own time at which the ack came."""
        difference = received_at_ms - ack_timestamp_ms
        number = int(received_at_ms // _BUCKET_MS)
        buckets = self._buckets
        if buckets and buckets[-1][0] == number:
            if difference >= buckets[-1][1]:
                return
            buckets[-1] = (number, difference)
        else:
            buckets.append((number, difference))
            while buckets[0][0] < number - WINDOW_MS // _BUCKET_MS:
                buckets.popleft()
        self._offset_ms = min(smallest for _, smallest in buckets)
        self.known = True

    def now_ms(self, own_now_ms: float) -> int:
        """Broker time in epoch milliseconds at the own time `own_now_ms`."""
        return int(own_now_ms - self._offset_ms)
