"""The protocol's times, and how much longer an owner counts than a holder trusts."""

from dataclasses import dataclass
from typing import Final

MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Timing:
    """All in milliseconds. Owner and holders must agree on `valid_ms` and `drift_ppm`."""

    valid_ms: int = 10_000
    """How long credits live after the report that they answer."""
    drift_ppm: int = 200
    """How wrong the pace of two clocks may be, against each other."""
    guard_ms: int = 500
    """From spending a credit until the upstream has counted the request, at most."""
    tick_ms: int = 100
    """Between two rounds of grants, and between two reports of a busy dispatcher."""
    press_ms: int = 25
    """Between two rounds of grants where a queue began or a seat came back that somebody waits for."""
    busy_report_ms: int = 250
    """A dispatcher with something queued or in hand is heard of at least this often."""
    idle_report_ms: int = 1_000
    """And one that is idle."""
    renew_ms: int = 1_000
    """How often what a session has is stated anew."""
    beat_ms: int = 250
    claim_after_ms: int = 1_000
    """A standby of rank 0 claims after this time without a record of the owner."""
    claim_step_ms: int = 250
    """And each further rank this much later."""
    own_beat_ms: int = 1_000
    """An owner that has not read a beat of its own this young grants nothing."""
    idle_credit_ms: int = 300
    """Credits that nobody waits for are given back after this time."""
    prefix_ms: int = 60_000
    """How much further back than window and validity a successor reads the grants."""

    def __post_init__(self) -> None:
        """Refuse times with which credits would lapse in ordinary traffic."""
        if self.valid_ms < 4 * max(self.renew_ms, self.idle_report_ms):
            raise ValueError("credits must outlive several renewals")
        if min(self.guard_ms, self.drift_ppm) < 0 or self.tick_ms <= 0:
            raise ValueError("guard and drift are at least 0, a tick is longer")

    @property
    def drift_ms(self) -> int:
        """What a clock may be wrong by in the life of a credit, rounded up."""
        return -(-self.valid_ms * self.drift_ppm // MILLION)

    @property
    def holder_ms(self) -> int:
        """How long a holder trusts a credit, on its own clock from the report that is echoed."""
        return self.valid_ms - self.drift_ms

    @property
    def owner_ms(self) -> int:
        """How long an owner counts it, from the receipt of the session's last report.

        The guard is in it since seats are held until the calls that hold them have been cut.
        """
        return self.valid_ms + self.drift_ms + self.guard_ms

    def width_ms(self, window_ms: int) -> int:
        """How long a spend is charged, so that it has left the upstream's window before it is forgotten."""
        return window_ms + self.guard_ms - (-window_ms * self.drift_ppm // MILLION)

    def lookback_ms(self, window_ms: int) -> int:
        """How far back reports can still matter."""
        return self.width_ms(window_ms) + self.owner_ms
