"""Which flows were asked for in vain, and so let others go before them. No I/O.

A flow whose own limit is used up is never picked, so it stands before those that are served: it would keep
their free seats. Asked for in vain for a while it is *passed over*: it goes behind all others, until
something is promised to it or one of its calls ends. What is left over goes to those that were passed over,
the least recent first; and once none that stood first was for a while, one of them has its turn: before all
others of its lane. `now_ms` is monotonic.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from headrace.schemas.limits import Flow
from headrace.schemas.names import DeploymentName

PASSED_MS: Final = 500
"""Asked for in vain for so long, a flow is passed over."""
REST_MS: Final = 2_000
"""So long after one was passed over the next one goes first: a fifth of one seat's time at most."""


class PassedOver:
    """Of the flows in which something is queued."""

    def __init__(self) -> None:
        self._now_ms = 0
        self._asked: set[Flow] = set()
        self._vain_ms: dict[Flow, int] = {}
        """How long each was asked for since it was promised something, or passed over."""
        self._passed_ms: dict[Flow, int] = {}
        """When each was passed over last."""
        self._turn: dict[DeploymentName, Flow] = {}
        """Who goes first though it was passed over."""
        self._rest_ms: dict[DeploymentName, int] = {}
        """When one that stood first was passed over last."""

    def promised(self, flow: Flow) -> None:
        """It was not in vain."""
        self._asked.discard(flow)
        self._vain_ms.pop(flow, None)
        self._passed_ms.pop(flow, None)

    def ended(self, flow: Flow) -> None:
        """One of its calls: its own limit may have room again."""
        self._vain_ms.pop(flow, None)
        self._passed_ms.pop(flow, None)

    def look(self, now_ms: int) -> None:
        """Time has passed, in which some were `asked` for."""
        past_ms, self._now_ms = now_ms - self._now_ms, now_ms
        for flow in self._asked:
            vain_ms = self._vain_ms.get(flow, 0) + past_ms
            if vain_ms >= PASSED_MS:
                if flow not in self._passed_ms or flow == self._turn.get(flow.deployment):
                    self._rest_ms[flow.deployment] = now_ms
                self._passed_ms[flow] = now_ms
                vain_ms = 0
            self._vain_ms[flow] = vain_ms

    def order(self, room: Mapping[Flow, int]) -> list[Flow]:
        """Those of one deployment as they are to be asked for; in their order as far as nothing was in vain.

        `room`: how many seats each may have; the highest lane first.
        """
        passed = self._passed_ms
        behind = sorted((flow for flow in room if flow in passed), key=passed.__getitem__)
        if not behind:
            return list(room)
        first = [flow for flow in room if flow not in passed]
        deployment = behind[0].deployment
        self._turn.pop(deployment, None)
        if self._now_ms - self._rest_ms[deployment] >= REST_MS:
            turn = next((flow for flow in behind if room[flow] > 0), behind[0])
            self._turn[deployment] = turn
            behind.remove(turn)
            lanes = list(dict.fromkeys(flow.lane for flow in room))
            above = lanes[: lanes.index(turn.lane)]
            first.insert(sum(flow.lane in above for flow in first), turn)
        return first + behind

    def asked(self, flows: Iterable[Flow], queued: Collection[Flow]) -> None:
        """Those are asked for from now on; of others than those `queued` nothing is kept."""
        self._asked = set(flows)
        for kept in (self._vain_ms, self._passed_ms):
            for flow in [one for one in kept if one not in queued]:
                del kept[flow]
