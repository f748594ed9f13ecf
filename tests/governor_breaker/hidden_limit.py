"""An upstream with a limit that nobody told us, and more demand than it takes, in virtual time.

The owner, its ledger and the dispatchers' holders are the production code; what carries their records takes
a while, and the upstream counts by itself.
"""

import heapq
import random
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import count

import msgspec

from headrace.dispatcher.governor.allocation import AllocationPolicy
from headrace.dispatcher.governor.holder import Holder, Ticket
from headrace.dispatcher.governor.learning.limit import LearnPolicy
from headrace.dispatcher.governor.owner import Owner
from headrace.dispatcher.governor.restraints import RestraintPolicy
from headrace.dispatcher.governor.tree import Caps, Scope, Tree
from headrace.dispatcher.overheard import Overheard
from headrace.dispatcher.ports import CallEnd
from headrace.schemas.journal import ProcessId
from headrace.schemas.limits import Beat, Claim, Command, Epoch, Want
from headrace.schemas.names import DeploymentName, RequestId
from headrace.schemas.tellings import encode
from support.credits import LANES
from support.limits import TIMING, flow

CASES = ((10, 6, ""), (100, 60, ""), (1_000, 600, ""), (1_000, 600, "retry"))
"""Configured limit, real one, and what the upstream tells of it besides its 429s."""
START_MS = 1_800_000_000_000
WINDOW_MS = 60_000
STEP_MS = 20
CALL_MS = 2_000
D = DeploymentName("d")
FLOW = flow(deployment=D)


class Dispatcher:
    """One process that always has more to send."""

    def __init__(self, name: str, now_ms: int) -> None:
        self.name = name
        self.holder = Holder(ProcessId(name), TIMING, now_ms)
        self.heard = Overheard()


class HiddenLimit:
    """A run: `accepted` and `refused` hold times in ms."""

    def __init__(
        self,
        *,
        configured: int,
        hidden: int,
        seed: int,
        tells: str = "",
        learn: LearnPolicy | None = None,
        dispatchers: int = 2,
    ) -> None:
        """`tells`: "retry" a Retry-After, "limit" its headers, nothing else."""
        self.hidden = hidden
        self.accepted: list[int] = []
        self.refused: list[int] = []
        self.now_ms = START_MS
        self._tells = tells
        self._dice = random.Random(seed)
        self._passed: deque[int] = deque()
        self._events: list[tuple[int, int, Callable[[], object]]] = []
        self._number = count()
        tree = Tree((Scope("d", Caps(requests=configured), deployments=frozenset({D})),))
        policy = AllocationPolicy(LANES, restraint=RestraintPolicy(learn=learn or LearnPolicy()))
        self.owner = Owner(Epoch(1), tree, policy, TIMING, self.now_ms)
        self._fleet = [Dispatcher(f"d{n}", self.now_ms) for n in range(dispatchers)]
        for one in self._fleet:
            one.holder.take(Claim(Epoch(1), ProcessId("g")), self.now_ms)

    def run(self, windows: float) -> "HiddenLimit":
        """Let that many windows pass."""
        until_ms = self.now_ms + round(windows * WINDOW_MS)
        while self.now_ms < until_ms:
            self.now_ms += STEP_MS
            while self._events and self._events[0][0] <= self.now_ms:
                heapq.heappop(self._events)[2]()
            for one in self._fleet:
                self._report(one)
                self._spend(one)
            if self.now_ms % TIMING.tick_ms == 0:
                for command in self.owner.tick(self.now_ms):
                    self._publish(command)
        return self

    @property
    def limit(self) -> int:
        """What the owner holds the fleet to now."""
        return self.owner.ledger.nodes[0].caps.requests or 0

    def refused_by_window(self, after: int) -> list[int]:
        """429s in each whole window but the first ones."""
        windows = (self.now_ms - START_MS) // WINDOW_MS
        counts = [0] * windows
        for at_ms in self.refused:
            counts[min((at_ms - START_MS) // WINDOW_MS, windows - 1)] += 1
        return counts[after:]

    def used(self, after: int) -> float:
        """The share of the real limit that was used, but for the first windows."""
        from_ms = START_MS + after * WINDOW_MS
        taken = sum(at_ms >= from_ms for at_ms in self.accepted)
        return taken / (self.hidden * (self.now_ms - from_ms) / WINDOW_MS)

    def _later(self, at_ms: int, event: Callable[[], object]) -> None:
        heapq.heappush(self._events, (at_ms, next(self._number), event))

    def _carried(self, event: Callable[[], object]) -> None:
        """Records take a while."""
        self._later(self.now_ms + self._dice.randint(5, 60), event)

    def _publish(self, command: Command) -> None:
        if isinstance(command, Beat):
            self.owner.read_back(command)
        for one in self._fleet:
            self._carried(lambda one=one: one.holder.take(command, self.now_ms))  # type: ignore[misc]

    def _report(self, one: Dispatcher) -> None:
        one.holder.want(FLOW, [Want(self.now_ms, 0, 0, 16)], self.now_ms)
        due = one.heard.left_ms(self.now_ms) == 0
        if due or one.holder.due_ms() <= self.now_ms:
            report = one.holder.report(self.now_ms)
            told = encode(one.heard.tell(self.now_ms))
            whole = msgspec.structs.replace(report, headers=told)
            self._carried(lambda: self.owner.hear(whole, self.now_ms))

    def _spend(self, one: Dispatcher) -> None:
        # Dispatchers know of a rest a little later than its owner.
        if not self.owner.restraints.rests.share(D, self.now_ms - 100):
            return
        while (ticket := one.holder.spend(FLOW, 0, 0, self.now_ms)) is not None:
            self._send(one, ticket, self.now_ms + self._dice.randint(1, 15))

    def _send(self, one: Dispatcher, ticket: Ticket, at_ms: int) -> None:
        while self._passed and self._passed[0] <= at_ms - WINDOW_MS:
            self._passed.popleft()
        free = len(self._passed) < self.hidden
        answer: dict[str, str] = {}
        if free:
            self._passed.append(at_ms)
            self.accepted.append(at_ms)
        else:
            self.refused.append(at_ms)
        if self._tells == "retry" and not free:
            answer["retry-after-ms"] = str(self._passed[0] + WINDOW_MS - at_ms)
        if self._tells == "limit":
            spent = len(self._passed)
            answer["x-ratelimit-limit-requests"] = str(self.hidden)
            answer["x-ratelimit-remaining-requests"] = str(self.hidden - spent)
            answer["x-ratelimit-reset-requests"] = f"{spent * WINDOW_MS / self.hidden / 1000:.3f}s"
        ended_ms = at_ms + (CALL_MS if free else self._dice.randint(20, 200))
        end = CallEnd(status=200 if free else 429, headers=answer)
        self._later(ended_ms, partial(self._hear, one, ticket, end, self.now_ms))

    def _hear(self, one: Dispatcher, ticket: Ticket, end: CallEnd, began_ms: int) -> None:
        one.heard.ended(
            D,
            RequestId(f"{one.name}-{ticket.ordinal}"),
            end,
            began_ms=began_ms,
            mono_ms=self.now_ms,
            now_ms=self.now_ms,
        )
        one.holder.release(ticket, self.now_ms)
