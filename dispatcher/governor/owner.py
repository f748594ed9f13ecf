"""The owner of one partition: reports in, grants out.

How it works. An owner begins with what `takeover` found in the logs. It hears reports in the order of
their log, reads its own records back, and at each tick gives the records to append. What it has granted is
charged from the moment it decides, whether or not the record arrives: what a session was granted is stated
again and again, so a lost record only delays. It grants nothing while it does not read its own beats, and
nothing to a session that has been silent for longer than it said. A session of which it has heard nothing
for as long as credits live is over for good; what it had left is charged as spent.

No I/O. `now_ms` and stamps are the log's time.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from headrace.dispatcher.governor.allocation import Allocation, AllocationPolicy, Held
from headrace.dispatcher.governor.lane import Pace
from headrace.dispatcher.governor.ledger import Ledger
from headrace.dispatcher.governor.queues import Session
from headrace.dispatcher.governor.restraints import Restraints
from headrace.dispatcher.governor.standing import Touched
from headrace.dispatcher.governor.timeline import Timeline
from headrace.dispatcher.governor.timing import Timing
from headrace.dispatcher.governor.tree import Tree
from headrace.schemas.journal import ProcessId, SessionId
from headrace.schemas.limits import (
    NO_SESSION,
    Beat,
    Command,
    End,
    Epoch,
    FlowGrant,
    Grants,
    Report,
    SessionGrant,
)

LEAST_SILENCE_MS = 750
MOST_FLOWS = 5_000
"""In one record of grants."""
TIDY_MS = 10_000
"""How often it is looked for accounts that are not needed any more."""


class Owner:
    """Everything that the owner of `epoch` knows."""

    def __init__(
        self,
        epoch: Epoch,
        tree: Tree,
        policy: AllocationPolicy,
        timing: Timing,
        now_ms: int,
    ) -> None:
        """`epoch` stands in the log as this owner's."""
        self.epoch = epoch
        self.timing = timing
        self.ledger = Ledger(tree, timing)
        self.sessions: dict[SessionId, Session] = {}
        self._newest: dict[ProcessId, Session] = {}
        """Each dispatcher's session that began last."""
        self.strangers = 0
        """Sessions with credits that the log does not tell of."""
        self.repeated = self.reordered = 0
        """Reports that came again, or behind newer ones of their session."""
        self.pressed = False
        """Whether a report told what is worth a tick at once: a queue began, or a sought seat is free."""
        self.restraints = Restraints(self.ledger, policy.restraint)
        self._allocation = Allocation(self.ledger, policy)
        self._allocation.shares.append(self.restraints.share)
        self._allocation.granted = self.restraints.granted
        self._beats = 0
        self._beat_ms: int | None = None
        self._unread: dict[int, int] = {}
        """Beat -> when it was sent, of those that were not read back."""
        self._alive_ms = now_ms
        """When the newest beat that came back was sent."""
        self.timeline = Timeline()
        self._tidy_ms = now_ms + TIDY_MS

    def read_back(self, beat: Beat) -> None:
        """A beat of this owner's epoch stands in the log."""
        if beat.epoch == self.epoch and beat.seq in self._unread:
            self._alive_ms = max(self._alive_ms, self._unread[beat.seq])
            self._unread = {s: at for s, at in self._unread.items() if s > beat.seq}

    def hear(self, report: Report, stamp_ms: int, *, queued: bool = True) -> None:
        """Take the next report of the log; repeated and late ones change nothing.

        Not `queued`: newer ones tell what is queued.
        """
        stamp_ms = self.timeline.stamp_ms(stamp_ms)
        if report.session == NO_SESSION:
            # It asks for no credits, and tells of upstreams only.
            self.restraints.hear(report, stamp_ms)
            return
        session = self.sessions.get(report.session)
        if session is None:
            session = self.meet(report.session, stamp_ms=stamp_ms)
            self._follow(report.dispatcher, session)
        if report.granted and session.known and not session.vouched:
            self._estrange(session)
        newest = report.seq > session.seq
        self.repeated += report.seq == session.seq
        self.reordered += report.seq < session.seq
        for told in report.flows:
            if newest or self.ledger.knows(report.session, told.flow):
                self.ledger.hear(report.session, told, stamp_ms)
        self.pressed = self.pressed or self.ledger.freed
        if not newest or session.over_ms is not None:
            return
        session.seq = report.seq
        session.mono_ms = report.mono_ms
        session.tick_ms = report.tick_ms
        session.heard_ms = max(session.heard_ms, stamp_ms)
        session.silent = False
        session.ending = report.last
        self.restraints.hear(report, stamp_ms)
        if session.known and queued and not session.followed:
            self._queue(session, report)

    def _follow(self, dispatcher: ProcessId, session: Session) -> None:
        """A dispatcher has a new session: reports of the one before may still come, long after it lapsed."""
        before = self._newest.get(dispatcher)
        self._newest[dispatcher] = session
        if before is not None:
            before.followed = True
            self._allocation.leave(before)

    def restated(self, session: Session, *, intact: bool) -> None:
        """An earlier owner's record grants it something; not `intact`: others that are gone may, too."""
        if intact:
            session.known = session.vouched = True
        elif session.known:
            self._estrange(session)

    def _estrange(self, session: Session) -> None:
        """Credits of an owner whose records are gone cannot be counted, so they must run out."""
        self.strangers += 1
        session.known = False

    def meet(self, name: SessionId, *, stamp_ms: int) -> Session:
        """A session that was not heard of before."""
        session = Session(name, heard_ms=stamp_ms)
        self.sessions[name] = session
        self.ledger.sessions.setdefault(name, {})
        return session

    def end(self, session: Session, stamp_ms: int) -> End:
        """The session can spend nothing any more."""
        residual = self.ledger.expire(session.name, stamp_ms)
        self._allocation.leave(session)
        session.over_ms = stamp_ms
        return End(self.epoch, session.name, stamp_ms, residual)

    def hold_back(self, pace: Pace) -> None:
        """Ask `pace`, too, at each tick how much of its speed a deployment may have."""
        self._allocation.hold_back(pace)

    def hold(self, held: Held) -> None:
        """Grant nothing to these flows from now on; what they have they keep."""
        self._allocation.held = held

    def change(self, tree: Tree) -> None:
        """The limits are others from now on."""
        self.ledger.replant(tree)
        self.restraints.replant()
        self._allocation.replant()

    def shut(self, now_ms: int) -> None:
        """Nothing is known of what was granted: grant nothing until it cannot count any more."""
        self.ledger.shut(now_ms + self.timing.lookback_ms(self.ledger.tree.window_ms))

    def expire(self, now_ms: int) -> list[End]:
        """Sessions whose time is up."""
        ended: list[End] = []
        for session in list(self.sessions.values()):
            if session.over_ms is None:
                expiry_ms = session.heard_ms + self.timing.owner_ms
                if session.ending:
                    ended.append(self.end(session, session.heard_ms))
                elif expiry_ms <= now_ms:
                    ended.append(self.end(session, expiry_ms))
            elif session.over_ms + self.ledger.width_ms < now_ms:
                del self.sessions[session.name]
                self.ledger.forget(session.name)
                self._newest = {d: one for d, one in self._newest.items() if one is not session}
        return ended

    def waiting(self) -> bool:
        """Whether anything is queued that nothing was granted for: else a beat is soon enough for a tick."""
        return any(
            queue.head() is not None
            for session in self.sessions.values()
            for queue in session.queues.values()
        )

    def now_ms(self, log_ms: int, mono_ms: int) -> int:
        """The time for `tick`: the log's, unless its clock was set. To be asked before each `hear`, too."""
        return self.timeline.now_ms(log_ms, mono_ms, self.ledger.now_ms)

    def tick(self, now_ms: int) -> list[Command]:
        """The records to append now."""
        self.pressed = self.ledger.freed = False
        self.ledger.advance(now_ms)
        now_ms = self.ledger.now_ms
        records: list[Command] = list(self._beat(now_ms))
        if now_ms - self._alive_ms > self.timing.own_beat_ms:
            return records
        records += self.expire(now_ms)
        if now_ms >= self._tidy_ms:
            self._tidy_ms = now_ms + TIDY_MS
            self._forget_idle()
        self._listen(now_ms)
        if self.restraints.apply(now_ms):
            self._allocation.relearn()
        records += self.restraints.due(self.epoch, now_ms)
        stated = self._state(self._allocation.tick(now_ms), now_ms)
        return records + [Grants(self.epoch, some) for some in _batches(stated)]

    def _queue(self, session: Session, report: Report) -> None:
        for told in report.flows:
            self.pressed = self._allocation.hear(session, told) or self.pressed
        if len(session.queues) > len(report.flows):
            told_flows = {told.flow for told in report.flows}
            for flow, queue in session.queues.items():
                if flow not in told_flows:
                    queue.tell([], None)

    def _forget_idle(self) -> None:
        """Flows that were used once do not stay for ever. A later report of one begins where it stands."""
        for session in self.sessions.values():
            for flow in self.ledger.idle(session.name):
                if self._allocation.forget(session, flow):
                    self.ledger.close(session.name, flow)

    def _beat(self, now_ms: int) -> list[Beat]:
        if self._beat_ms is not None and now_ms - self._beat_ms < self.timing.beat_ms:
            return []
        self._beat_ms = now_ms
        self._beats += 1
        self._unread[self._beats] = now_ms
        return [Beat(self.epoch, self._beats)]

    def _listen(self, now_ms: int) -> None:
        for session in self.sessions.values():
            quiet_ms = max(LEAST_SILENCE_MS, 5 * session.tick_ms // 2)
            session.silent = now_ms - session.heard_ms > quiet_ms

    def _state(self, touched: Touched, now_ms: int) -> list[SessionGrant]:
        """What was granted, and once in a while all that a session has."""
        stated: list[SessionGrant] = []
        for session in self.sessions.values():
            over = session.over_ms is not None or session.followed
            if over or not session.known or session.mono_ms is None:
                continue
            last_ms = session.stated_ms
            renewed = last_ms is None or now_ms - last_ms >= self.timing.renew_ms
            if not (session in touched or (renewed and not session.silent)):
                continue
            flows = self._flows(session, touched, all_of_them=renewed)
            if renewed:
                session.stated_ms = now_ms
                session.vouched = True
            stated.append(SessionGrant(session.name, session.mono_ms, self.timing.valid_ms, flows))
        return stated

    def _flows(self, session: Session, touched: Touched, *, all_of_them: bool) -> list[FlowGrant]:
        accounts = self.ledger.sessions[session.name]
        if not all_of_them:
            return [accounts[flow].told() for flow in sorted(touched[session])]
        flows: list[FlowGrant] = []
        for account in accounts.values():
            if account.stale or any(account.outstanding()) or account.in_use():
                account.stale = False
                flows.append(account.told())
        return flows


def _batches(stated: list[SessionGrant]) -> Iterator[list[SessionGrant]]:
    """In records that Kafka takes: a flow has 100 bytes or so, and a session may be told in several."""
    batch: list[SessionGrant] = []
    room = MOST_FLOWS
    for told in stated:
        for first in range(0, max(1, len(told.flows)), MOST_FLOWS):
            flows = told.flows[first : first + MOST_FLOWS]
            if len(flows) > room and batch:
                yield batch
                batch, room = [], MOST_FLOWS
            batch.append(replace(told, flows=flows))
            room -= len(flows)
    if batch:
        yield batch
