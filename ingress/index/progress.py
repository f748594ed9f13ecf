"""How far each partition was read, and who waits for it to go on. No I/O."""

import asyncio

from headrace.ingress.index.store import Place, Read


class NotCaughtUp(Exception):
    """The index cannot say that it does not know an id: it has not read the log to its end."""


class Voided(Exception):
    """The log is not the one that was read: a topic was made anew."""


class Progress:
    """Positions of one reader; all on the event loop's thread."""

    def __init__(self) -> None:
        self.places: dict[Place, Read] = {}
        self.newest_ms = 0
        """The latest append time that was read: the log's own idea of now."""
        self.recovery_s = 0.0
        """How long it took to read what stood in the log; 0 until then."""
        self.soon = 0
        """Who waits for a row that is on the way."""
        self.wanted = asyncio.Event()
        """Set when somebody begins to wait for what comes next: it is read at once."""
        self._readers: dict[Place, list[tuple[int, asyncio.Future[None]]]] = {}

    @property
    def hurried(self) -> bool:
        """Whether somebody waits for what comes next."""
        return self.soon > 0 or any(self._readers.values())

    def advance(self, place: Place, end: int, at_ms: int) -> None:
        """All records of a partition below `end` were read; the last one has that append time."""
        self.places[place] = (end, at_ms)
        self.newest_ms = max(self.newest_ms, at_ms)
        readers = self._readers.get(place)
        if not readers:
            return
        for wanted, reached in readers:
            if wanted <= end and not reached.done():
                reached.set_result(None)
        self._readers[place] = [each for each in readers if each[0] > end]

    async def read_to(self, place: Place, end: int) -> None:
        """Wait until a partition was read up to `end`, which is exclusive."""
        if self.places.get(place, (0, 0))[0] >= end:
            return
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._readers.setdefault(place, []).append((end, reached))
        self.wanted.set()
        try:
            await reached
        finally:
            self._readers[place] = [each for each in self._readers[place] if each[1] is not reached]
