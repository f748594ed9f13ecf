"""Requests that wait: here, or on their way to a delay topic, since their wait is too long for memory."""

from headrace.dispatcher.settle import Settlement
from headrace.dispatcher.tasks import Tasks
from headrace.dispatcher.waiting import Waiting, unbarred_ms
from headrace.dispatcher.waits import Waits


class Departures:
    """Hands requests over beside the loop, and counts those that are not there yet."""

    def __init__(self, settlement: Settlement, waits: Waits, tasks: Tasks) -> None:
        self._settlement = settlement
        self._waits = waits
        self._tasks = tasks

    def start(self, waiting: Waiting, now_ms: int) -> None:
        """Hand over what is to go on at its due time, or when nothing bars it any more."""
        waiting.due_ms = max(waiting.due_ms, now_ms)
        self._waits.leaving += 1
        self._tasks.spawn(self._move(waiting, now_ms))

    def hold(self, waiting: Waiting, due_ms: int, now_ms: int) -> None:
        """Let a request wait until `due_ms`, in memory or in the delay topics."""
        if not self._waits.keep(waiting, due_ms, now_ms):
            waiting.due_ms = due_ms
            self.start(waiting, now_ms)

    def look_again(self, waiting: Waiting, now_ms: int) -> None:
        """Let a request wait for a moment, in memory if there is room."""
        if not self._waits.look_again(waiting, now_ms):
            self.start(waiting, now_ms)

    async def _move(self, waiting: Waiting, now_ms: int) -> None:
        try:
            due_ms = unbarred_ms(waiting, waiting.due_ms)
            await self._settlement.retry(
                waiting, due_ms=due_ms, now_ms=now_ms, attempt=waiting.attempt
            )
        finally:
            self._waits.leaving -= 1
