"""Whether this process may start calls: others count it alive, and nobody has taken its partitions over.

How it works. While its own beats come back in time it may. After a time in which they did not (it was
frozen, or cut off) it must first read back a SNAP of its own from the journal of each partition: then
nobody had claimed that before. What it had begun in partitions that others have claimed meanwhile is
given up; calls that run go on, since no one can take them back.
"""

from collections.abc import Callable

from headrace.dispatcher.fleet import Fleet
from headrace.dispatcher.ports import Clock, Sources


class Standing:
    """Of one process."""

    def __init__(self, fleet: Fleet, clock: Clock, sources: Sources) -> None:
        self._fleet = fleet
        self._clock = clock
        self._sources = sources
        self._proven = 0
        self._proving = False

    @property
    def sound(self) -> bool:
        """Whether calls may start."""
        return self._proven == self._fleet.lapses and not self._fenced()

    @property
    def wants_proof(self) -> bool:
        """Whether `prove` is to be called: beats come back again after a lapse."""
        return self._proven != self._fleet.lapses and not self._proving and not self._fenced()

    async def prove(self, proven: Callable[[], None]) -> None:
        """Find out what is still owned, after a time in which others may have taken this process for dead.

        `proven` is called once it is known.
        """
        lapses, self._proving = self._fleet.lapses, True
        try:
            await self._sources.prove()
            self._proven = lapses
            proven()
        finally:
            self._proving = False

    def _fenced(self) -> bool:
        return self._fleet.fenced(self._clock.monotonic())
