"""One lane: who competes in it, whose turn it is, how fast it may go, and what it is owed from above."""

from collections.abc import Callable, Mapping
from typing import Final

from headrace.dispatcher.governor.contenders import Bucket, Contender, Turn
from headrace.dispatcher.governor.ledger import Ledger
from headrace.dispatcher.governor.node import Node
from headrace.schemas.journal import SessionId
from headrace.schemas.limits import Flow
from headrace.schemas.names import DeploymentName, LaneName, Tenant

RETURN_MS: Final = 500
"""A tenant with nothing queued for longer has given its turn up."""
REST_MS: Final = 60_000
"""A lane that was not used for so long does not hold lower ones back."""

Pace = Callable[[DeploymentName], float]
"""Of a deployment's usual speed how much it may have now: 0 nothing, 1 all."""


class Lane:
    """The state of a lane between ticks."""

    def __init__(
        self,
        name: LaneName,
        ledger: Ledger,
        weights: Mapping[Tenant, float],
        pace: float,
        burst: float,
    ) -> None:
        """`pace` in windows' limits for each window; `burst` a part of the limit."""
        self.used_ms = -REST_MS
        """When anybody last had something of it."""
        self.leads = True
        """Whether no lane above it was used lately."""
        self.name = name
        self.contenders: dict[Flow, Contender] = {}
        self.owed = 0.0
        """Part of a limit that it is to get before the lanes above it."""
        self._ledger = ledger
        self._weights = weights
        self._pace = pace
        self._burst = burst
        self._turns: dict[Tenant, Turn] = {}
        self._buckets: dict[DeploymentName, Bucket] = {}

    def contender(self, flow: Flow) -> Contender:
        """Whoever has something of `flow`."""
        contender = self.contenders.get(flow)
        if contender is None:
            turn = self._turns.get(flow.tenant)
            if turn is None:
                turn = self._turns[flow.tenant] = Turn(self._weights.get(flow.tenant, 1.0))
            contender = Contender(flow, self._ledger.path(flow), turn)
            self.contenders[flow] = contender
        return contender

    def leave(self, session: SessionId, flow: Flow) -> None:
        """The session has nothing of `flow` any more; a tenant that nobody has anything of is forgotten."""
        contender = self.contenders[flow]
        del contender.queues[session]
        if not contender.queues:
            del self.contenders[flow]
            if all(other.tenant != flow.tenant for other in self.contenders):
                del self._turns[flow.tenant]

    def waiting(self, now_ms: int) -> list[Contender]:
        """Those with something to ask for; who comes back is lifted to the level of those who stayed."""
        waiting = [one for one in self.contenders.values() if one.head() is not None]
        stayed = [one.turn for one in waiting if now_ms - one.turn.seen_ms <= RETURN_MS]
        least = min((turn.counter for turn in stayed), default=0.0)
        for contender in waiting:
            turn = contender.turn
            if now_ms - turn.seen_ms > RETURN_MS:
                turn.counter = max(turn.counter, least)
            turn.seen_ms = now_ms
        return waiting

    def may_go(self, contender: Contender, now_ms: int, share: float = 1.0) -> bool:
        """Whether its pace, or this `share` of it, allows anything more at the deployment.

        Nothing but the limit holds a lane back while no higher one may need some of it soon. Else requests
        that reserved much and used little would leave room that the pace does not know of.
        """
        bucket = self._bucket(contender)
        if share < 1:
            return bucket.open(now_ms, self._burst * share, share)
        if bucket.open(now_ms, self._burst):
            return True
        if self.leads:
            bucket.forgive()
        return self.leads

    def granted(self, contender: Contender, share: float) -> None:
        """So much of the limit was taken."""
        self._bucket(contender).take(share)

    def sated(self, share: float) -> bool:
        """Whether it holds its share of the seats of every scope that its requests wait for seats in.

        Seats are held for as long as calls last: who holds enough of them is owed no more.
        """
        scopes = {
            node
            for contender in self.contenders.values()
            if contender.head() is not None
            for node in contender.path
            if node.scope.common and node.caps.seats is not None
        }
        return bool(scopes) and all(self._held(node) >= share * node.seats for node in scopes)

    def _held(self, node: Node) -> int:
        accounts = (
            queue.account
            for contender in self.contenders.values()
            if node in contender.path
            for queue in contender.queues.values()
        )
        return sum(one.in_use() + one.outstanding().requests for one in accounts)

    def replant(self) -> None:
        """The ledger's limits were changed."""
        self._buckets.clear()
        for flow, contender in self.contenders.items():
            contender.lie_in(self._ledger.path(flow))

    def _bucket(self, contender: Contender) -> Bucket:
        """The lane's pace at the deployment."""
        name = contender.flow.deployment
        if name not in self._buckets:
            windows = [node.scope.window_ms for node in contender.path if node.scope.common]
            per_ms = self._pace / max(windows, default=1)
            self._buckets[name] = Bucket(per_ms)
        return self._buckets[name]
