"""One partition of a log that delays, loses and repeats what is written, and stalls."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Generic, TypeVar

from headrace.dispatcher.governor.simulator.clock import Clock

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Weather:
    """How badly the log behaves. Times in milliseconds, chances from 0 to 1."""

    write_ms: tuple[int, int] = (1, 8)
    read_ms: tuple[int, int] = (1, 12)
    slow: float = 0.0
    """Chance of a write that takes up to `slow_ms`."""
    slow_ms: int = 1_500
    lost: float = 0.0
    repeated: float = 0.0
    """Chance of a second copy, up to `slow_ms` later."""


class Log(Generic[T]):
    """Records with the time at which the broker took them."""

    def __init__(self, clock: Clock, rng: Random, weather: Weather) -> None:
        """Empty."""
        self.records: list[tuple[int, T]] = []
        self.landed: list[Callable[[T], None]] = []
        """Told of each record when it stands in the log."""
        self._clock = clock
        self._rng = rng
        self._weather = weather
        self._readers: list[Reader[T]] = []
        self.stalled_until = 0
        self.set_ms = 0
        """By how much the broker's clock is wrong."""

    def write(self, record: T) -> None:
        """Append some time soon, perhaps twice, perhaps never."""
        weather, rng = self._weather, self._rng
        now = self._clock.now
        if weather.lost and rng.random() < weather.lost:
            return
        delay = rng.randint(*weather.write_ms)
        if weather.slow and rng.random() < weather.slow:
            delay = rng.randint(delay, weather.slow_ms)
        self._clock.at(now + delay, self._land, record)
        if weather.repeated and rng.random() < weather.repeated:
            self._clock.at(now + delay + rng.randint(0, weather.slow_ms), self._land, record)

    def wipe(self) -> None:
        """The topic was deleted and made anew; readers go on with what comes."""
        self.records = []
        for reader in self._readers:
            reader.position = 0

    def since(self, stamp_ms: int) -> list[tuple[int, T]]:
        """Everything from that time on."""
        return [one for one in self.records if one[0] >= stamp_ms]

    def reader(self, take: Callable[[int, T], None], *, position: int | None = None) -> "Reader[T]":
        """Whoever reads from `position` on; default: what comes from now on."""
        reader = Reader(self, self._clock, self._rng, take)
        reader.position = len(self.records) if position is None else position
        self._readers.append(reader)
        reader.wake(self._weather.read_ms)
        return reader

    def _land(self, record: T) -> None:
        now = self._clock.now
        if now < self.stalled_until:
            self._clock.at(self.stalled_until + self._rng.randint(0, 50), self._land, record)
            return
        self.records.append((now + self.set_ms, record))
        for told in self.landed:
            told(record)
        self._readers = [reader for reader in self._readers if not reader.closed]
        for reader in self._readers:
            reader.wake(self._weather.read_ms)


class Reader(Generic[T]):
    """One process's place in a log; it reads in batches, and not while it is blocked."""

    def __init__(
        self, log: Log[T], clock: Clock, rng: Random, take: Callable[[int, T], None]
    ) -> None:
        """Reads what comes."""
        self.position = 0
        self.closed = False
        self.blocked_until = 0
        self._log = log
        self._clock = clock
        self._rng = rng
        self._take = take
        self._planned = False

    def wake(self, read_ms: tuple[int, int]) -> None:
        """There may be something."""
        if not self._planned:
            self._planned = True
            when = max(self._clock.now, self.blocked_until) + self._rng.randint(*read_ms)
            self._clock.at(when, self._read)

    def _read(self) -> None:
        log = self._log
        resume = max(self.blocked_until, log.stalled_until)
        if resume > self._clock.now:
            self._clock.at(resume, self._read)
            return
        self._planned = False
        while not self.closed and self.position < len(log.records):
            stamp, record = log.records[self.position]
            self.position += 1
            self._take(stamp, record)
