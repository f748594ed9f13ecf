"""Credits in reserve: while there is room, no request waits for a round of grants.

A reserve follows what its session spends: it must last until the next report was answered. It is a share of
the limit at most, so where limits are small it is a few requests.
"""

from collections.abc import Iterable
from math import ceil
from typing import Final, Protocol

from headrace.dispatcher.governor.contenders import Contender
from headrace.dispatcher.governor.ledger import Ledger
from headrace.dispatcher.governor.node import Node
from headrace.dispatcher.governor.queues import Queue, Session
from headrace.schemas.limits import Flow, Units
from headrace.schemas.names import DeploymentName

Touched = dict[Session, set[Flow]]
"""Accounts that were changed in a tick, by session."""

FEW: Final = 8
"""Requests in reserve for one session and flow, also where it has spent fewer."""
AHEAD: Final = 3
"""Times what it spends between two ticks."""
FADES: Final = 0.8
"""What is left of that from tick to tick, where less is spent."""


SLOW: Final = 0.5
"""At a smaller part of its pace a deployment has just rested, or is about to be tried."""


class Tick(Protocol):
    """What a reserve must know of the present tick."""

    closed: set[Node]
    """Scopes in which somebody waits for room."""
    touched: Touched

    def share(self, deployment: DeploymentName) -> float:
        """The part of its usual pace that a deployment goes at."""
        ...


class Standing:
    """`share` of the limit for each session, as long as the load is below `load`."""

    def __init__(self, ledger: Ledger, share: float, load: float) -> None:
        """Shares between 0 and 1."""
        self._ledger = ledger
        self._share = share
        self._load = load

    def keep(self, contenders: Iterable[Contender], held: set[Flow], tick: Tick) -> None:
        """Fill up the reserves, or end them where others need the room or nothing may be sent (`held`)."""
        closed, touched = tick.closed, tick.touched
        left: dict[tuple[Session, str], float] = {}
        for contender in contenders:
            asking = [one for one in contender.queues.values() if one.usual or one.account.keep]
            if not asking:
                continue
            busy = (
                contender.flow in held
                or tick.share(contender.flow.deployment) < SLOW
                or not closed.isdisjoint(contender.path)
                or any(n.load() > self._load for n in contender.path if not n.scope.shadow)
            )
            for queue in asking:
                where = (queue.session, contender.flow.deployment)
                room = 0.0 if busy else left.get(where, self._share)
                left[where] = room - self._fill(contender, queue, room, touched)

    def _fill(self, contender: Contender, queue: Queue, room: float, touched: Touched) -> float:
        """One session's reserve; returns what part of the limit it takes."""
        account, usual = queue.account, queue.usual
        share = contender.cost(usual) if usual else 0.0
        wanted = max(FEW, ceil(AHEAD * account.pace(FADES)))
        keep = min(wanted, int(room / share)) if usual and share else 0
        if keep != account.keep:
            account.keep = keep
            account.stale = True
            touched.setdefault(queue.session, set()).add(contender.flow)
        if usual and not queue.session.silent and queue.head() is None:
            missing = keep - account.outstanding().requests
            for _ in range(missing):
                if not self._give(contender, queue, usual):
                    break
                touched.setdefault(queue.session, set()).add(contender.flow)
        return keep * share

    def _give(self, contender: Contender, queue: Queue, usual: Units) -> bool:
        if self._ledger.refusing(contender.flow, usual) is not None:
            return False
        self._ledger.grant(queue.session.name, contender.flow, usual)
        queue.given(usual)
        return True
