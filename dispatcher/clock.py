"""The clock of a dispatcher process; besides the composition root the only place that names `time`."""

import time

from headrace.schemas.clock import BrokerClock


class BrokerTime:
    """The `Clock` port: broker time learned from acks, elapsed time from the host."""

    def __init__(self) -> None:
        self._broker = BrokerClock(time.monotonic() * 1000 - time.time() * 1000)

    def now_ms(self) -> int:
        """Epoch milliseconds by the broker's clock."""
        return self._broker.now_ms(time.monotonic() * 1000)

    def monotonic(self) -> float:
        """Seconds, never going back."""
        return time.monotonic()

    def acked(self, append_time_ms: int) -> None:
        """Learn from the ack of a record, whose append time it tells."""
        self._broker.observe(append_time_ms, time.monotonic() * 1000)
