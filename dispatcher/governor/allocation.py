"""Who goes before whom: lanes, tenants and dispatchers that ask for credits of one partition."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod

from headrace.dispatcher.governor.contenders import Contender
from headrace.dispatcher.governor.lane import REST_MS, Lane, Pace
from headrace.dispatcher.governor.ledger import Ledger
from headrace.dispatcher.governor.lending import Lending
from headrace.dispatcher.governor.queues import Queue, Session
from headrace.dispatcher.governor.restraints import RestraintPolicy
from headrace.dispatcher.governor.rounds import Granted, Paid, Round, Share
from headrace.dispatcher.governor.scarcity import Scarcity
from headrace.dispatcher.governor.standing import Standing, Touched
from headrace.schemas.limits import Flow, FlowReport
from headrace.schemas.names import DeploymentName, LaneName, Tenant

Held = Callable[[Flow, int], bool]


@dataclass(frozen=True, slots=True)
class AllocationPolicy:
    """The rules of the order."""

    lanes: tuple[LaneName, ...]
    """The most urgent first."""
    weights: Mapping[Tenant, float] = field(default_factory=dict)
    """Of tenants, where it is not 1."""
    lower_share: float = 0.1
    """Of what a lane gets while a lower one waits, this part is owed to the lower one."""
    pace: float = 1.25
    """How fast the first lane may go, in windows' limits for each window."""
    lower_pace: float = 1.25
    """And each other lane."""
    burst: float = 0.2
    """Part of the limit that a lane may take at once while a higher one is in use."""
    standing_share: float = 0.02
    """Part of the limit that one dispatcher may hold in reserve."""
    standing_load: float = 0.8
    """Above this load nobody holds a reserve."""

    restraint: RestraintPolicy = field(default_factory=RestraintPolicy)
    """What upstreams' own refusals do."""

    def __post_init__(self) -> None:
        """Refuse a pace at which the limit could never be used."""
        if not self.lanes or len(set(self.lanes)) != len(self.lanes):
            raise ValueError("there is a lane, and no two have one name")
        if min(self.pace, self.lower_pace) < 1 or self.burst <= 0:
            raise ValueError("a lane's pace is at least the limit's, and its burst above 0")
        if any(weight <= 0 for weight in self.weights.values()):
            raise ValueError("a weight is above 0")


class Allocation:
    """What all sessions have queued, and what is granted of it at each tick."""

    def __init__(self, ledger: Ledger, policy: AllocationPolicy) -> None:
        """Nobody has asked for anything."""
        self.shares: list[Share] = []
        """Who slows deployments down; what they say is multiplied."""
        self.granted: Granted = lambda _, __: None
        """Who is told of each grant."""
        self._ledger = ledger
        self._policy = policy
        self._lanes = {
            name: Lane(
                name,
                ledger,
                policy.weights,
                policy.lower_pace if number else policy.pace,
                policy.burst,
            )
            for number, name in enumerate(policy.lanes)
        }
        self._scarcity = Scarcity()
        self._lending = Lending()
        self._standing = Standing(ledger, policy.standing_share, policy.standing_load)
        self.held: Held | None = None
        """Says which flows get nothing at a time; None: all may."""

    def hear(self, session: Session, told: FlowReport) -> bool:
        """What the session has queued of a flow, by its newest report, which the ledger has heard.

        True if it asks for something, and did not before.
        """
        queue = session.queues.get(told.flow)
        if queue is None:
            lane = self._lanes.get(told.flow.lane)
            if lane is None:
                return False
            queue = Queue(session, self._ledger.account(session.name, told.flow))
            session.queues[told.flow] = queue
            lane.contender(told.flow).queues[session.name] = queue
        asked = queue.head() is not None
        queue.tell(told.want, told.usual, told.queued)
        if told.want or told.usual:
            self._lanes[told.flow.lane].used_ms = self._ledger.now_ms
        return not asked and queue.head() is not None

    def leave(self, session: Session) -> None:
        """The session gets nothing any more."""
        for flow in session.queues:
            self._lanes[flow.lane].leave(session.name, flow)
        session.queues.clear()

    def hold_back(self, pace: Pace) -> None:
        """Ask `pace`, too, at each tick how much of its speed a deployment may have."""
        self.shares.append(lambda deployment, _: pace(deployment))

    def forget(self, session: Session, flow: Flow) -> bool:
        """The session has no use for the flow any more; False if it has something queued, or had lately."""
        queue = session.queues.get(flow)
        if queue is not None:
            if queue.usual is not None or queue.head() is not None:
                return False
            self._lanes[flow.lane].leave(session.name, flow)
            del session.queues[flow]
        return True

    def replant(self) -> None:
        """The ledger's limits were changed."""
        self._scarcity.clear()
        self._lending.clear()
        for lane in self._lanes.values():
            lane.replant()

    def relearn(self) -> None:
        """Limits in force are others than before, in the same scopes."""
        for lane in self._lanes.values():
            for contender in lane.contenders.values():
                contender.lie_in(contender.path)

    def tick(self, now_ms: int) -> Touched:
        """Grant what can be granted; returns the accounts that were changed."""
        self._lending.lend(self._ledger.nodes, now_ms)
        round_ = Round(self._ledger, now_ms, self._share, self.granted)
        lanes = [(lane, self._free(lane, now_ms)) for lane in self._lanes.values()]
        busy = [(lane, waiting) for lane, waiting in lanes if waiting]
        leads = True
        for lane, waiting in lanes:
            if not waiting:
                lane.owed = 0.0
            lane.leads = leads
            leads = leads and now_ms - lane.used_ms >= REST_MS
        share = self._policy.lower_share
        below = [None if lane.sated(share) else lane for lane, _ in busy[1:]]
        for number, (lane, waiting) in enumerate(busy[1:], 1):
            round_.pay_floor(lane, waiting, self._paid(lane, below[number:], owed=True))
        for number, (lane, waiting) in enumerate(busy):
            round_.serve(lane, waiting, self._paid(lane, below[number:]))
        for lane, _ in lanes:
            if lane.contenders:
                held = {flow for flow in lane.contenders if self._is_held(flow, now_ms)}
                self._standing.keep(lane.contenders.values(), held, round_)
        contenders = (one for lane in self._lanes.values() for one in lane.contenders.values())
        self._scarcity.note(round_.closed, contenders, round_.touched, now_ms)
        return round_.touched

    def _free(self, lane: Lane, now_ms: int) -> list[Contender]:
        waiting = lane.waiting(now_ms)
        if self.held is None:
            return waiting
        return [one for one in waiting if not self._is_held(one.flow, now_ms)]

    def _is_held(self, flow: Flow, now_ms: int) -> bool:
        return self.held is not None and self.held(flow, now_ms)

    def _share(self, deployment: DeploymentName, now_ms: int) -> float:
        return prod(share(deployment, now_ms) for share in self.shares)

    def _paid(self, lane: Lane, below: list[Lane | None], *, owed: bool = False) -> Paid:
        """`owed`: what is granted is the floor; one whole request may be more, which is a debt then."""
        next_lane = below[0] if below else None

        def paid(cost: float) -> None:
            if owed:
                lane.owed -= cost
            elif lane.owed > 0:
                lane.owed = max(0.0, lane.owed - cost)
            if next_lane is not None:
                more = next_lane.owed + cost * self._policy.lower_share
                next_lane.owed = min(more, self._policy.burst)

        return paid
