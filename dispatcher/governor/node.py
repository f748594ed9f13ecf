"""The books of one scope: what is outstanding, and what was sent within its window."""

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import Final

from headrace.dispatcher.governor.tree import Caps, Dimension, Scope
from headrace.schemas.limits import NOTHING, Units

LOOK_AHEAD: Final = 256
"""Spends that are looked at to tell when there will be room."""


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
        "base",
        "caps",
        "in_use",
        "open_input",
        "open_output",
        "open_requests",
        "passed_ms",
        "returned",
        "scope",
        "sent_input",
        "sent_output",
        "sent_requests",
        "sought",
        "width_ms",
    )

    def __init__(self, scope: Scope, width_ms: int) -> None:
        """`width_ms` is the window and what is added to it for safety."""
        self.scope = scope
        self.base = scope.caps
        """The scope's, or lower ones that were learned."""
        self.caps = scope.caps
        """In force: the same, with what is lent of others' reserves."""
        self.width_ms = width_ms
        self.passed_ms = -1
        """Spends stamped up to here are not charged any more."""
        self.open_requests = self.open_input = self.open_output = 0
        self.sent_requests = self.sent_input = self.sent_output = 0
        self.in_use = 0
        self.returned = 0
        """Seats that have come back so far."""
        self.sought = False
        """Whether somebody waits for one of its seats."""
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

    def refuses(self, units: Units, left: Units = NOTHING) -> Dimension | None:
        """What `units` would exceed once `left` has left the window; None: they fit.

        A request that is larger than a limit that was learned fits where nothing else is charged. A scope in
        shadow mode refuses nothing.
        """
        if self.scope.shadow:
            return None
        refusing = self._exceeded(units, left, self.caps)
        if refusing is None or self.caps is self.scope.caps or refusing is Dimension.SEATS:
            return refusing
        if self.charged()[refusing] > amount(left, refusing):
            return refusing
        return self._exceeded(units, left, self.scope.caps)

    def would_refuse(self, units: Units) -> bool:
        """Whether `units` exceed a limit that is only tried out."""
        return self.scope.shadow and self._exceeded(units, NOTHING, self.caps) is not None

    def hold(self, limits: Mapping[Dimension, int]) -> None:
        """Stay below these, where they are lower than the configured ones; nothing: those alone."""
        caps = self.scope.caps
        lower = {
            dimension.value: max(1, min(cap, limits[dimension]))
            for dimension, cap in caps.named()
            if dimension in limits
        }
        self.base = self.caps = replace(caps, **lower) if lower else caps

    def sent(self, dimension: Dimension) -> int:
        """What was sent within the window."""
        return amount(Units(self.sent_requests, self.sent_input, self.sent_output), dimension)

    def clears_ms(self, units: Units) -> int | None:
        """When `units` will fit though nothing comes back before its time; None: not soon enough to tell."""
        requests = tokens_in = tokens_out = 0
        for spend in islice(self._spends, LOOK_AHEAD):
            requests += spend.units[0]
            tokens_in += spend.units[1]
            tokens_out += spend.units[2]
            if self.refuses(units, Units(requests, tokens_in, tokens_out)) is None:
                return spend.stamp_ms + self.width_ms
        return None

    def left_by(self, at_ms: int) -> Units:
        """What of that which is charged now will have left the window."""
        requests = tokens_in = tokens_out = 0
        passed_ms = at_ms - self.width_ms
        for spend in self._spends:
            if spend.stamp_ms > passed_ms:
                break
            requests += spend.units[0]
            tokens_in += spend.units[1]
            tokens_out += spend.units[2]
        return Units(requests, tokens_in, tokens_out)

    @property
    def seats(self) -> int:
        """How many there are; 0 where they are not limited."""
        return self.caps.seats or 0

    @property
    def full(self) -> bool:
        """Whether it has no free seat."""
        return self.caps.seats is not None and self.open_requests + self.in_use >= self.seats

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

    def empty_ms(self, now_ms: int) -> int:
        """How long until nothing that was sent is charged any more."""
        return max(0, self._spends[-1].stamp_ms + self.width_ms - now_ms) if self._spends else 0

    def load(self) -> float:
        """The fullest of its limits, as a share."""
        caps = self.caps
        requests = self.open_requests
        tokens_in = self.open_input + self.sent_input
        tokens_out = self.open_output + self.sent_output
        return max(
            (requests + self.sent_requests) / caps.requests if caps.requests else 0.0,
            tokens_in / caps.input_tokens if caps.input_tokens else 0.0,
            tokens_out / caps.output_tokens if caps.output_tokens else 0.0,
            (tokens_in + tokens_out) / caps.total_tokens if caps.total_tokens else 0.0,
            (requests + self.in_use) / caps.seats if caps.seats else 0.0,
        )

    def _exceeded(self, units: Units, left: Units, caps: Caps) -> Dimension | None:
        requests, tokens_in, tokens_out = units
        requests += self.open_requests
        tokens_in += self.open_input + self.sent_input - left[1]
        tokens_out += self.open_output + self.sent_output - left[2]
        if caps.requests is not None and requests + self.sent_requests - left[0] > caps.requests:
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

    def _sent(self, units: Units, sign: int) -> None:
        self.sent_requests += sign * units[0]
        self.sent_input += sign * units[1]
        self.sent_output += sign * units[2]


def amount(units: Units, dimension: Dimension) -> int:
    """How much of a dimension `units` take; a request takes a seat."""
    match dimension:
        case Dimension.REQUESTS | Dimension.SEATS:
            return units.requests
        case Dimension.INPUT_TOKENS:
            return units.input
        case Dimension.OUTPUT_TOKENS:
            return units.output
        case Dimension.TOTAL_TOKENS:
            return units.input + units.output
