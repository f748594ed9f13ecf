"""What one process reports to the governor, and when: of its credits and of its calls. No I/O."""

from collections.abc import Callable
from typing import Final

import msgspec

from headrace.dispatcher.breakers.board import CALM_MS, Breakers
from headrace.dispatcher.credits import Credits
from headrace.schemas.journal import ProcessId, SessionId
from headrace.schemas.limits import NO_SESSION, Epoch, Report
from headrace.schemas.outcomes import Outcomes, encode

NOTHING: Final = Outcomes()


class Reports:
    """All reports of one process; `mono_ms` is monotonic, `now_ms` broker time."""

    def __init__(self, own: ProcessId, breakers: Breakers, in_hand: Credits | None) -> None:
        """`in_hand`: where the configuration limits anything."""
        self._own = own
        self._breakers = breakers
        self._credits = in_hand
        self._seq = 0

    def when_stirred(self, stirred: Callable[[], None]) -> None:
        """Have `stirred` called whenever there may be something to report."""
        self._breakers.stirred = stirred
        if self._credits is not None:
            self._credits.stirred = stirred

    def left_ms(self, mono_ms: int, now_ms: int) -> int:
        """How long until `report` is to be called; to be asked again after that time, and when stirred."""
        left_ms = self._breakers.left_ms(now_ms)
        if self._credits is None:
            return CALM_MS if left_ms is None else left_ms
        due_ms = self._credits.due_ms(mono_ms) - mono_ms
        return due_ms if left_ms is None else min(left_ms, due_ms)

    def report(self, mono_ms: int, now_ms: int) -> Report | None:
        """What is to be told now; None: nothing."""
        due = self._breakers.left_ms(now_ms) == 0
        outcomes = self._breakers.outcomes(now_ms) if due else NOTHING
        if self._credits is not None:
            return _with(self._credits.report(mono_ms), outcomes)
        return self._bare(mono_ms, outcomes) if due else None

    def last_report(self, mono_ms: int, now_ms: int) -> Report:
        """The process stops; its calls are over."""
        outcomes = self._breakers.outcomes(now_ms)
        if self._credits is not None:
            return _with(self._credits.last_report(mono_ms), outcomes)
        return self._bare(mono_ms, outcomes)

    def _bare(self, mono_ms: int, outcomes: Outcomes) -> Report:
        """Of a process that asks for no credits: no session is opened for it."""
        self._seq += 1
        bare = Report(self._own, SessionId(NO_SESSION), self._seq, mono_ms, CALM_MS, Epoch(0), [])
        return _with(bare, outcomes)


def _with(report: Report, outcomes: Outcomes) -> Report:
    if outcomes == NOTHING:
        return report
    return msgspec.structs.replace(report, outcomes=encode(outcomes))
