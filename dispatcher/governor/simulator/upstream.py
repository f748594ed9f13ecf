"""An upstream that counts exactly, by the true time, what arrives in any window."""

from collections import deque
from dataclasses import dataclass

from headrace.dispatcher.governor.tree import Dimension, Scope, Tree
from headrace.schemas.limits import Flow, Units


@dataclass(slots=True)
class Arrival:
    """A request that was admitted, and how long it had waited for it."""

    at_ms: int
    flow: Flow
    units: Units
    waited_ms: int
    used: Units
    """What it counts for: less than `units` once it was settled."""


class Window:
    """What arrived within the last window of one scope, and the most that ever did."""

    def __init__(self, scope: Scope) -> None:
        """Nothing has arrived."""
        self.scope = scope
        self.allowed: dict[Dimension, int] = dict(scope.caps.named())
        self.most = dict.fromkeys(self.allowed, 0)
        self.held = 0
        self._inside: deque[Arrival] = deque()
        self._requests = self._input = self._output = 0

    def add(self, arrival: Arrival) -> None:
        """A request arrives."""
        self.slide(arrival.at_ms)
        self._inside.append(arrival)
        self._count(arrival.used, 1)
        self.held += 1

    def refund(self, now: int, arrival: Arrival, units: Units) -> None:
        """A request turns out to have used less; the caller notes it in the arrival, afterwards."""
        self.slide(now)
        if arrival.at_ms > now - self.scope.window_ms:
            self._count(units, -1)

    def slide(self, now: int) -> None:
        """Forget what has left the window."""
        inside, oldest = self._inside, now - self.scope.window_ms
        while inside and inside[0].at_ms <= oldest:
            self._count(inside.popleft().used, -1)

    def _count(self, units: Units, sign: int) -> None:
        self._requests += sign * units[0]
        self._input += sign * units[1]
        self._output += sign * units[2]

    def counts(self) -> dict[Dimension, int]:
        """As of the last arrival."""
        return {
            Dimension.REQUESTS: self._requests,
            Dimension.INPUT_TOKENS: self._input,
            Dimension.OUTPUT_TOKENS: self._output,
            Dimension.TOTAL_TOKENS: self._input + self._output,
            Dimension.SEATS: self.held,
        }


class Upstream:
    """All scopes, with the limits that hold now."""

    def __init__(self, tree: Tree) -> None:
        """Nothing has arrived."""
        self.arrivals: list[Arrival] = []
        self.violations: list[str] = []
        self.windows = [Window(scope) for scope in tree.scopes]
        self.changes = 0
        self._paths: dict[Flow, list[Window]] = {}

    def change(self, tree: Tree) -> int:
        """Other limits for the same scopes. A lower one holds from `tighten` on; returns its argument."""
        for window, scope in zip(self.windows, tree.scopes, strict=True):
            window.scope = scope
            for dimension, cap in scope.caps.named():
                window.allowed[dimension] = max(window.allowed[dimension], cap)
        self.changes += 1
        return self.changes

    def tighten(self, change: int) -> None:
        """What was granted before that change cannot arrive any more."""
        if change == self.changes:
            for window in self.windows:
                window.allowed = dict(window.scope.caps.named())

    def arrive(self, now: int, flow: Flow, units: Units, waited_ms: int) -> Arrival:
        """A request is here. It is admitted; one that exceeds a limit is a violation."""
        arrival = Arrival(now, flow, units, waited_ms, units)
        self.arrivals.append(arrival)
        for window in self._path(flow):
            window.add(arrival)
            counts = window.counts()
            for dimension, allowed in window.allowed.items():
                count = counts[dimension]
                window.most[dimension] = max(window.most[dimension], count)
                if count > allowed:
                    where = window.scope.name
                    told = f"{now} overshoot: {count} {dimension} in {where}, limit {allowed}"
                    self.violations.append(told)
        return arrival

    def refund(self, now: int, arrival: Arrival, output: int) -> None:
        """A call is over and used so much less output than was reserved for it."""
        for window in self._path(arrival.flow):
            window.refund(now, arrival, Units(0, 0, output))
        used = arrival.used
        arrival.used = Units(used.requests, used.input, used.output - output)

    def leave(self, flow: Flow) -> None:
        """A call is over."""
        for window in self._path(flow):
            window.held -= 1

    def _path(self, flow: Flow) -> list[Window]:
        path = self._paths.get(flow)
        if path is None:
            path = [window for window in self.windows if window.scope.holds(flow)]
            self._paths[flow] = path
        return path
