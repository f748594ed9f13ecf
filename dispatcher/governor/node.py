"""The books of one scope: what is outstanding, and what was sent within its window."""

from collections import deque

from headrace.dispatcher.governor.tree import Dimension, Scope
from headrace.schemas.limits import Units


class Spend:
    """Units that left together, charged from `stamp_ms` on.

    `first` to `last` are the ordinals of its requests in session and flow, by which a refund finds it.
    """

    __slots__ = ("first", "last", "stamp_ms", "units")

    def __init__(self, stamp_ms: int, units: Units, first: int, last: int) -> None:
        """Charge `units`."""
        self.stamp_ms = stamp_ms
        self.units = units
        self.first = first
        self.last = last


class Node:
    """One scope. Each spend is put in once and taken out once, so a charge costs constant time."""

    __slots__ = (
        "_spends",
        "caps",
        "in_use",
        "open_input",
        "open_output",
        "open_requests",
        "passed_ms",
        "scope",
        "sent_input",
        "sent_output",
        "sent_requests",
        "width_ms",
    )

    def __init__(self, scope: Scope, width_ms: int) -> None:
        """`width_ms` is the window and what is added to it for safety."""
        self.scope = scope
        self.caps = scope.caps
        self.width_ms = width_ms
        self.passed_ms = -1
        """Spends stamped up to here are not charged any more."""
        self.open_requests = self.open_input = self.open_output = 0
        self.sent_requests = self.sent_input = self.sent_output = 0
        self.in_use = 0
        self._spends: deque[Spend] = deque()

    def slide(self, now_ms: int) -> None:
        """Forget what has left the window; time that goes back changes nothing."""
        passed = now_ms - self.width_ms
        if passed <= self.passed_ms:
            return
        self.passed_ms = passed
        spends = self._spends
        while spends and spends[0].stamp_ms <= passed:
            self._sent(spends.popleft().units, -1)

    def charge(self, spend: Spend) -> None:
        """Stamps must not go down from one call to the next."""
        if spend.stamp_ms > self.passed_ms:
            self._spends.append(spend)
            self._sent(spend.units, 1)

    def refund(self, spend: Spend, units: Units) -> None:
        """Take back a part of a spend; its own units are lowered by the caller, afterwards."""
        if spend.stamp_ms > self.passed_ms:
            self._sent(units, -1)

    def open(self, requests: int, tokens_in: int, tokens_out: int) -> None:
        """More (or, below 0, less) is outstanding."""
        self.open_requests += requests
        self.open_input += tokens_in
        self.open_output += tokens_out

    def refuses(self, units: Units) -> Dimension | None:
        """What `units` would exceed; None: they fit."""
        caps = self.caps
        requests, tokens_in, tokens_out = units
        requests += self.open_requests
        tokens_in += self.open_input + self.sent_input
        tokens_out += self.open_output + self.sent_output
        if caps.requests is not None and requests + self.sent_requests > caps.requests:
            return Dimension.REQUESTS
        if caps.seats is not None and requests + self.in_use > caps.seats:
            return Dimension.SEATS
        if caps.total_tokens is not None and tokens_in + tokens_out > caps.total_tokens:
            return Dimension.TOTAL_TOKENS
        if caps.input_tokens is not None and tokens_in > caps.input_tokens:
            return Dimension.INPUT_TOKENS
        if caps.output_tokens is not None and tokens_out > caps.output_tokens:
            return Dimension.OUTPUT_TOKENS
        return None

    def charged(self) -> dict[Dimension, int]:
        """What counts against each limit that is set."""
        tokens_in = self.open_input + self.sent_input
        tokens_out = self.open_output + self.sent_output
        counts = {
            Dimension.REQUESTS: self.open_requests + self.sent_requests,
            Dimension.INPUT_TOKENS: tokens_in,
            Dimension.OUTPUT_TOKENS: tokens_out,
            Dimension.TOTAL_TOKENS: tokens_in + tokens_out,
            Dimension.SEATS: self.open_requests + self.in_use,
        }
        return {dimension: counts[dimension] for dimension, _ in self.caps.named()}

    def load(self) -> float:
        """The fullest of its limits, as a share."""
        counts = self.charged()
        return max((counts[d] / cap for d, cap in self.caps.named()), default=0.0)

    def _sent(self, units: Units, sign: int) -> None:
        self.sent_requests += sign * units[0]
        self.sent_input += sign * units[1]
        self.sent_output += sign * units[2]
