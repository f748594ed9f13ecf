"""What the limits of a ledger really are, by what its upstreams told and by their refusals. No I/O.

A refusal does not say which limit it met. It is put to the one of which the upstream said that nothing
remains, else to the fullest one of the scopes that are the upstream's own: the deployment's and its pool's.
What is learned lowers the scope in the ledger, and what its lanes leave to one another in proportion.

While a limit is below its ceiling calls keep an even pace: a burst that once fitted comes again with
every window, and when the limit has grown past the real one it would be refused as a whole.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from headrace.dispatcher.governor.learning.headers import limit_of
from headrace.dispatcher.governor.learning.holding import Holding, Place, cap_of
from headrace.dispatcher.governor.learning.limit import (
    LearnedLimit,
    LearnPolicy,
    after_429,
    after_headers,
    in_force,
    learned,
)
from headrace.dispatcher.governor.ledger import Ledger
from headrace.dispatcher.governor.node import Node
from headrace.dispatcher.governor.tree import Dimension
from headrace.schemas import tellings
from headrace.schemas.limits import Epoch, Learned
from headrace.schemas.names import DeploymentName

EVEN_SHARE: Final = 0.86
"""Of a lane's pace of 1.25 windows' limits for each window: a little faster than the limit lasts."""
CATCH_UP_SHARE: Final = 0.92
"""The same while the limit is far below its peak: after the pause that follows a cut."""
FAR: Final = 0.9
MOST_REFUSED: Final = 10_000
"""Refusals of one window that are told apart from what was admitted."""
MOST_PATHS: Final = 1_000
"""Deployments whose scopes are remembered; reports may name any."""
RESTATE_MS: Final = 20_000
"""A third of what a successor reads back besides the window."""

_DIMENSIONS: Final = {
    tellings.Dimension.REQUESTS: Dimension.REQUESTS,
    tellings.Dimension.TOKENS: Dimension.TOTAL_TOKENS,
    tellings.Dimension.INPUT_TOKENS: Dimension.INPUT_TOKENS,
    tellings.Dimension.OUTPUT_TOKENS: Dimension.OUTPUT_TOKENS,
}
_TOLD: Final = {ours: theirs for theirs, ours in _DIMENSIONS.items()}


class Change(NamedTuple):
    """A limit was cut, or is whole again."""

    place: Place
    limit: int
    cut: bool


class Limits:
    """All limits of one ledger that are not what the configuration says."""

    def __init__(self, ledger: Ledger, holding: Holding, policy: LearnPolicy) -> None:
        """All are as configured."""
        self._ledger = ledger
        self._holding = holding
        self._policy = policy
        self._known: dict[Place, LearnedLimit] = {}
        self._stated_ms: dict[Place, int] = {}
        self._refused: dict[str, deque[int]] = {}
        """By scope, when calls were refused that a limit had let pass."""
        self._shares: dict[str, float] = {}
        """By scope, of those with a limit that was cut."""
        self.replant()

    def replant(self) -> None:
        """The configured limits were changed, and `holding` knows of it."""
        self._paths: dict[DeploymentName, list[Node]] = {}
        for place, limit in list(self._known.items()):
            configured = self._holding.configured(place)
            if configured is None:
                self._forget(place)
            else:
                self._known[place] = msgspec.structs.replace(limit, configured=float(configured))
        self._note_cuts()

    def told(self, deployment: DeploymentName, windows: Sequence[tellings.Window]) -> None:
        """An answer told these. The innermost scope that has such a limit is meant."""
        for dimension, name in _TOLD.items():
            node = next((n for n in reversed(self.path(deployment)) if cap_of(n, dimension)), None)
            if node is None:
                continue
            limit = limit_of(windows, name, node.scope.window_ms)
            place = Place(node.scope.name, dimension)
            if limit is not None and (
                limit < (cap_of(node, dimension) or 0) or place in self._known
            ):
                self._known[place] = after_headers(self._at(place, node), limit)

    def refused(
        self,
        deployment: DeploymentName,
        *,
        started_ms: int,
        spent: Sequence[tellings.Dimension],
        now_ms: int,
    ) -> Change | None:
        """A limit turned a call away that was started at `started_ms`. Returns what was cut by it."""
        said = {_DIMENSIONS[one] for one in spent}
        places = self._windowed(deployment)
        places = [one for one in places if one[1] in said] or places
        if not places:
            return None
        node, dimension = max(places, key=lambda one: one[0].sent(one[1]) / _in(one[0], one[1]))
        place = Place(node.scope.name, dimension)
        before = self._at(place, node)
        after = after_429(
            before,
            started_ms=started_ms,
            spent=node.sent(dimension) * self._admitted(node, now_ms),
            now_ms=now_ms,
            policy=self._policy,
        )
        if after is before:
            return None
        self._known[place] = after
        self._stated_ms.pop(place, None)
        self._note_cuts()
        return Change(place, int(learned(after, now_ms, self._policy)), cut=True)

    def any_of(self, deployment: DeploymentName) -> bool:
        """Whether there is one that a 429 could speak of."""
        return bool(self._windowed(deployment))

    def apply(self, now_ms: int) -> list[Change]:
        """Hold to what is known now; returns what is whole again."""
        whole: list[Change] = []
        for place, limit in list(self._known.items()):
            if limit.cuts and learned(limit, now_ms, self._policy) >= limit.ceiling:
                self._known[place] = msgspec.structs.replace(limit, cuts=0, peak=0.0)
                self._stated_ms.pop(place, None)
                whole.append(Change(place, int(limit.ceiling), cut=False))
        changed = [
            self._holding.hold(place, int(in_force(limit, now_ms, self._policy)))
            for place, limit in self._known.items()
        ]
        if any(changed):
            self._note_cuts()
        return whole

    def share(self, deployment: DeploymentName) -> float:
        """Of a lane's usual pace."""
        if not self._shares or self._policy.shadow:
            return 1.0
        path = self.path(deployment)
        return min((self._shares.get(node.scope.name, 1.0) for node in path), default=1.0)

    def shadowed(self, deployment: DeploymentName, now_ms: int) -> bool:
        """Whether more is charged than what was learned, which nobody is held to in shadow mode."""
        return (
            self._policy.shadow
            and bool(self._known)
            and any(
                node.charged()[place.dimension] > learned(limit, now_ms, self._policy)
                for place, limit in self._known.items()
                if (node := self._holding.nodes[place.scope]) in self.path(deployment)
            )
        )

    def now(self, now_ms: int) -> dict[Place, float]:
        """All that is known, as it is believed to be."""
        return {place: learned(limit, now_ms, self._policy) for place, limit in self._known.items()}

    def due(self, epoch: Epoch, now_ms: int) -> list[Learned]:
        """What is to be stated now. Forgets what is as configured."""
        stated: list[Learned] = []
        for place, limit in list(self._known.items()):
            stated_ms = self._stated_ms.get(place)
            if stated_ms is not None and now_ms - stated_ms < RESTATE_MS:
                continue
            self._stated_ms[place] = now_ms
            stated.append(
                Learned(
                    epoch,
                    place.scope,
                    place.dimension.value,
                    limit.told,
                    limit.peak,
                    limit.cut_at_ms,
                    limit.cuts,
                )
            )
            if not limit.cuts and limit.ceiling >= limit.configured:
                self._forget(place)
        return stated

    def take(self, stated: Learned) -> None:
        """What the owner before knew."""
        place = place_of(stated)
        if place is None:
            return
        configured = self._holding.configured(place)
        if configured is None:
            return
        self._known[place] = LearnedLimit(
            float(configured), stated.told, stated.peak, stated.cut_at_ms, stated.cuts
        )
        self._note_cuts()

    def _windowed(self, deployment: DeploymentName) -> list[tuple[Node, Dimension]]:
        return [
            (node, dimension)
            for node in self.path(deployment)
            for dimension, _ in node.caps.named()
            if dimension is not Dimension.SEATS
        ]

    def _admitted(self, node: Node, now_ms: int) -> float:
        """The part of what was sent in the window that was not refused; one more was refused now."""
        refused = self._refused.setdefault(node.scope.name, deque(maxlen=MOST_REFUSED))
        refused.append(now_ms)
        while refused[0] <= now_ms - node.width_ms:
            refused.popleft()
        return 1 - min(1.0, len(refused) / max(1, node.sent(Dimension.REQUESTS)))

    def _at(self, place: Place, node: Node) -> LearnedLimit:
        known = self._known.get(place)
        if known is not None:
            return known
        return LearnedLimit(float(cap_of(node, place.dimension) or 1))

    def _forget(self, place: Place) -> None:
        del self._known[place]
        self._stated_ms.pop(place, None)
        self._holding.forget(place)

    def _note_cuts(self) -> None:
        self._shares = {}
        for place, limit in self._known.items():
            if limit.cuts:
                far = self._holding.held(place, limit.peak) < FAR * limit.peak
                share = CATCH_UP_SHARE if far else EVEN_SHARE
                self._shares[place.scope] = min(share, self._shares.get(place.scope, share))

    def path(self, deployment: DeploymentName) -> list[Node]:
        """The upstream's own scopes, outermost first."""
        path = self._paths.get(deployment)
        if path is None:
            if len(self._paths) >= MOST_PATHS:
                self._paths.clear()
            path = self._paths[deployment] = [
                node
                for node in self._ledger.nodes
                if node.scope.common
                and (node.scope.deployments is None or deployment in node.scope.deployments)
            ]
        return path


def place_of(stated: Learned) -> Place | None:
    """What a record of the log speaks of; None: nothing that is known here."""
    try:
        return Place(stated.scope, Dimension(stated.dimension))
    except ValueError:
        return None


def _in(node: Node, dimension: Dimension) -> int:
    return dict(node.caps.named())[dimension]
