"""What one process reports to the governor, and when: of its credits and of its calls. No I/O."""

from collections.abc import Callable
from typing import Final

import msgspec

from headrace.dispatcher.breakers.board import CALM_MS, Breakers
from headrace.dispatcher.credits import Credits
from headrace.dispatcher.overheard import Overheard
from headrace.schemas import tellings
from headrace.schemas.journal import ProcessId, SessionId
from headrace.schemas.limits import NO_SESSION, Epoch, Report
from headrace.schemas.outcomes import Outcomes, encode

NOTHING: Final = Outcomes()


class Reports:
    """All reports of one process; `mono_ms` is monotonic, `now_ms` broker time."""

    def __init__(
        self, own: ProcessId, breakers: Breakers, overheard: Overheard, in_hand: Credits | None
    ) -> None:
        """`in_hand`: where the configuration limits anything."""
        self._own = own
        self._overheard = overheard
        self._breakers = breakers
        self._credits = in_hand
        self._seq = 0

    def when_stirred(self, stirred: Callable[[], None]) -> None:
        """Have `stirred` called whenever there may be something to report."""
        self._breakers.stirred = self._overheard.stirred = stirred
        if self._credits is not None:
            self._credits.stirred = stirred

    def left_ms(self, mono_ms: int, now_ms: int) -> int:
        """How long until `report` is to be called; to be asked again after that time, and when stirred."""
        left_ms = least(self._breakers.left_ms(now_ms), self._overheard.left_ms(mono_ms))
        if self._credits is None:
            return CALM_MS if left_ms is None else left_ms
        due_ms = self._credits.due_ms(mono_ms) - mono_ms
        return due_ms if left_ms is None else min(left_ms, due_ms)

    def report(self, mono_ms: int, now_ms: int) -> Report | None:
        """What is to be told now; None: nothing."""
        due = self._breakers.left_ms(now_ms) == 0
        outcomes = self._breakers.outcomes(now_ms) if due else NOTHING
        if self._credits is not None:
            return self._with(self._credits.report(mono_ms), outcomes)
        due = due or self._overheard.left_ms(mono_ms) == 0
        return self._bare(mono_ms, outcomes) if due else None

    def last_report(self, mono_ms: int, now_ms: int) -> Report:
        """The process stops; its calls are over."""
        outcomes = self._breakers.outcomes(now_ms)
        if self._credits is not None:
            return self._with(self._credits.last_report(mono_ms), outcomes)
        return self._bare(mono_ms, outcomes)

    def _bare(self, mono_ms: int, outcomes: Outcomes) -> Report:
        """Of a process that asks for no credits: no session is opened for it."""
        self._seq += 1
        bare = Report(self._own, SessionId(NO_SESSION), self._seq, mono_ms, CALM_MS, Epoch(0), [])
        return self._with(bare, outcomes)

    def _with(self, report: Report, outcomes: Outcomes) -> Report:
        if outcomes != NOTHING:
            report = msgspec.structs.replace(report, outcomes=encode(outcomes))
        told = self._overheard.tell(report.mono_ms)
        return msgspec.structs.replace(report, headers=tellings.encode(told)) if told else report


def least(one_ms: int | None, other_ms: int | None) -> int | None:
    """The sooner of two times, of which either may be none."""
    times_ms = [at_ms for at_ms in (one_ms, other_ms) if at_ms is not None]
    return min(times_ms, default=None)
