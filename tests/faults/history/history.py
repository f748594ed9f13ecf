"""Writes and reads `clients.jsonl`."""

import contextlib
import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from faults.history.events import Event, Fault, Healed

CLIENTS = "clients.jsonl"


class History:
    """Appends events; `with History(folder, now_ms) as history`.

    Each event is one write, so a killed process leaves at most its last line torn.
    """

    def __init__(self, folder: Path, now_ms: Callable[[], int]) -> None:
        """`now_ms` tells epoch milliseconds, as the upstream's log and the broker do."""
        self._path = folder / CLIENTS
        self._file = -1
        self._numbers = count(1)
        self._encode = msgspec.json.Encoder().encode
        self.now_ms = now_ms

    def __enter__(self) -> Self:
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._file)

    def number(self) -> int:
        """A number that no other event's subject has."""
        return next(self._numbers)

    def write(self, event: Event) -> None:
        """Append. Raises OSError."""
        line = self._encode(event) + b"\n"
        if os.write(self._file, line) != len(line):
            raise OSError("the history took only a part of a line")

    @contextlib.contextmanager
    def fault(self, what: str, who: str) -> Iterator[None]:
        """What happens inside is done to `who`: `with history.fault("kill", "dispatcher-1"): ...`.

        The block ends when the fault is over: a killed process was waited for, a frozen one goes on.
        """
        number = self.number()
        self.write(Fault(number=number, at=self.now_ms(), what=what, who=who))
        try:
            yield
        finally:
            self.write(Healed(number=number, at=self.now_ms()))


def read_history(folder: Path) -> Iterator[Event]:
    """The events of a run in their order; a torn last line is left out."""
    decoder = msgspec.json.Decoder(Event)
    with (folder / CLIENTS).open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                yield decoder.decode(line)
