"""What the ends of calls tell of upstreams' limits, kept until the governor has heard it. No I/O.

An answer that tells nothing of limits costs a look at its status and at whether it has headers at all;
headers are read for each deployment a few times a second, since a newer one tells all of it. Latencies are
noted where seats are learned from them; of plain answers a few times a second, whose tokens must be read.
"""

from collections import deque
from collections.abc import Callable, Collection
from typing import Final, NamedTuple
from zlib import crc32

from headrace.dispatcher.governor.effects import LimiterEffect, effects_of
from headrace.dispatcher.governor.learning.headers import Told, read
from headrace.dispatcher.latencies import Latencies
from headrace.dispatcher.policy import retry_after
from headrace.dispatcher.ports import CallEnd
from headrace.schemas.names import DeploymentName, RequestId
from headrace.schemas.tellings import (
    MOST_REFUSALS,
    MOST_WINDOWS,
    Dimension,
    Refused,
    Telling,
    Window,
)

LOOK_MS: Final = 250
"""Between two readings of the headers of one deployment's answers."""
TOLD_MS: Final = 5_000
"""How long something is told again: as long as a few reports may be lost."""
NEWS_MS: Final = 100
"""Refusals are told at once, but no more often than this."""
CALM_MS: Final = 1_000
"""And everything else."""
LONGEST_AGO_MS: Final = 3_600_000

_REFUSED: Final = frozenset({LimiterEffect.COOLDOWN, LimiterEffect.LEARN})


class _Refusal(NamedTuple):
    """As it is known here; `Refused` tells it with its ages."""

    number: int
    limited: bool
    request: int
    began_ms: int
    ended_ms: int
    asked_ms: int | None
    spent: list[Dimension]


class _Heard:
    """Of one deployment."""

    __slots__ = (
        *("latencies", "limited", "look_ms", "overloaded"),
        *("refusals", "windows", "windows_ms"),
    )

    def __init__(self) -> None:
        self.latencies: Latencies | None = None
        """Where they matter."""
        self.limited = self.overloaded = 0
        self.refusals: deque[_Refusal] = deque(maxlen=MOST_REFUSALS)
        self.windows: tuple[Window, ...] = ()
        self.windows_ms = self.look_ms = 0


class Overheard:
    """What one process has heard. `mono_ms` is monotonic, `now_ms` epoch milliseconds."""

    def __init__(self, adaptive: Collection[DeploymentName] = ()) -> None:
        """`adaptive`: deployments whose seats are learned from latency."""
        self._adaptive = frozenset(adaptive)
        self._heard: dict[DeploymentName, _Heard] = {}
        """One for each deployment that ever told anything: no more than are configured."""
        self._news = False
        self._told_ms = 0
        self.stirred: Callable[[], None] = lambda: None
        """Called when somebody should be told soon."""

    def ended(
        self,
        deployment: DeploymentName,
        request: RequestId,
        end: CallEnd,
        *,
        began_ms: int,
        mono_ms: int,
        now_ms: int,
    ) -> None:
        """A call of `request` that was begun at `began_ms` (monotonic) ended just now."""
        if deployment in self._adaptive:
            self._timed(deployment, end, mono_ms - began_ms, mono_ms)
        if end.status >= 429:
            self._refused(deployment, request, end, began_ms, mono_ms, now_ms)
        elif end.headers:
            heard = self._heard.get(deployment)
            if heard is None or mono_ms >= heard.look_ms:
                self._look(deployment, end, mono_ms, now_ms)

    def left_ms(self, mono_ms: int) -> int | None:
        """How long until it is to be told; None: there is nothing to tell."""
        if self._news:
            return max(0, self._told_ms + NEWS_MS - mono_ms)
        if any(_young(heard, mono_ms) for heard in self._heard.values()):
            return max(0, self._told_ms + CALM_MS - mono_ms)
        return None

    def tell(self, mono_ms: int) -> list[Telling]:
        """All that is young enough to be told."""
        self._news, self._told_ms = False, mono_ms
        return [
            _telling(name, heard, mono_ms)
            for name, heard in self._heard.items()
            if _young(heard, mono_ms)
        ]

    def _timed(self, deployment: DeploymentName, end: CallEnd, took_ms: int, mono_ms: int) -> None:
        heard = self._of(deployment)
        if heard.latencies is None:
            heard.latencies = Latencies()
        heard.latencies.ended(end, took_ms, mono_ms)

    def _of(self, deployment: DeploymentName) -> _Heard:
        heard = self._heard.get(deployment)
        if heard is None:
            heard = self._heard[deployment] = _Heard()
        return heard

    def _look(
        self, deployment: DeploymentName, end: CallEnd, mono_ms: int, now_ms: int
    ) -> tuple[_Heard, Told]:
        heard = self._of(deployment)
        heard.look_ms = mono_ms + LOOK_MS
        told = read(end.headers, now_ms)
        if told.windows:
            heard.windows, heard.windows_ms = told.windows[:MOST_WINDOWS], mono_ms
        return heard, told

    def _refused(
        self,
        deployment: DeploymentName,
        request: RequestId,
        end: CallEnd,
        began_ms: int,
        mono_ms: int,
        now_ms: int,
    ) -> None:
        effect = effects_of(end).limiter
        if effect not in _REFUSED:
            return
        heard, told = self._look(deployment, end, mono_ms, now_ms)
        limited = effect is LimiterEffect.LEARN
        heard.limited += limited
        heard.overloaded += not limited
        number = heard.limited + heard.overloaded
        asked_ms = told.retry_ms
        if asked_ms is None and end.status == 429 and not limited:
            asked_ms = retry_after.read_reset(end.headers, now_ms)
        spent = [one.dimension for one in told.windows if one.remaining == 0]
        who = crc32(request.encode())
        heard.refusals.append(_Refusal(number, limited, who, began_ms, mono_ms, asked_ms, spent))
        self._news = True
        self.stirred()


def _young(heard: _Heard, mono_ms: int) -> bool:
    times_ms = [heard.refusals[-1].ended_ms] if heard.refusals else []
    if heard.windows:
        times_ms.append(heard.windows_ms)
    if heard.latencies is not None:
        times_ms.append(heard.latencies.ended_ms)
    return any(mono_ms - at_ms <= TOLD_MS for at_ms in times_ms)


def _telling(name: DeploymentName, heard: _Heard, mono_ms: int) -> Telling:
    refusals = [
        Refused(
            one.number,
            one.limited,
            one.request,
            min(LONGEST_AGO_MS, mono_ms - one.began_ms),
            mono_ms - one.ended_ms,
            one.asked_ms,
            one.spent,
        )
        for one in heard.refusals
        if mono_ms - one.ended_ms <= TOLD_MS
    ]
    fresh = mono_ms - heard.windows_ms <= TOLD_MS
    return Telling(
        name,
        heard.limited,
        heard.overloaded,
        refusals,
        list(heard.windows) if fresh else [],
        [] if heard.latencies is None else heard.latencies.told(),
    )
