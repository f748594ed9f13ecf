"""Ends a call that takes too long: one timer a call, moved only when it fires too early.

`asyncio.timeout` re-arms its timer at each `reschedule`; a stream would do so with every token.
Here progress only notes a time, and the timer looks at it when it fires.
"""

import asyncio
from types import TracebackType
from typing import Self

from headrace.dispatcher.ports import Break

EARLY_S = 0.002
"""uvloop's clock counts milliseconds: a timer can fire that much before its time."""


class Overdue(Exception):
    """The call was ended by its watch; `broken` says which bound it passed."""

    def __init__(self, broken: Break) -> None:
        super().__init__(broken.value)
        self.broken = broken


class Watch:
    """A context around one call, in one task. Raises `Overdue` at its end where a bound was passed.

    A cancellation from elsewhere passes as such.
    """

    __slots__ = (
        "_armed_for",
        "_broken",
        "_cancelling",
        "_due",
        "_loop",
        "_phase",
        "_task",
        "_timer",
        "_total_at",
        "_within_s",
    )

    def __init__(self, total_s: float, first: Break, within_s: float) -> None:
        """The whole call may take `total_s`; its first phase `within_s`, else it ends as `first`."""
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        self._total_at = now + total_s
        self._phase = first
        self._within_s = within_s
        self._due = now + within_s
        self._broken: Break | None = None

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a watch needs a task to end")
        self._task = task
        self._cancelling = task.cancelling()
        self._arm()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        if self._broken is None:
            return
        if self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise Overdue(self._broken) from error

    def enter(self, phase: Break, within_s: float) -> None:
        """A new phase begins; it ends as `phase` when nothing renews it for `within_s`."""
        self._phase = phase
        self._within_s = within_s
        self.renew()
        if self._due < self._armed_for:
            self._timer.cancel()
            self._arm()

    def renew(self) -> None:
        """There was progress."""
        self._due = self._loop.time() + self._within_s

    def cut(self, broken: Break) -> None:
        """End the call now, as `broken`; not to be called after its end."""
        if self._broken is None:
            self._timer.cancel()
            self._broken = broken
            self._task.cancel()

    def _arm(self) -> None:
        self._armed_for = min(self._due, self._total_at)
        self._timer = self._loop.call_at(self._armed_for, self._fire)

    def _fire(self) -> None:
        now = self._loop.time() + EARLY_S
        if now >= self._total_at:
            self._broken = Break.TOTAL_TIMEOUT
        elif now >= self._due:
            self._broken = self._phase
        else:
            self._arm()
            return
        self._task.cancel()
