"""The mock's own log of every call: the truth that checkers use.

A line is written with one `write(2)` at receipt, before anything else happens, and one at the
end, so a SIGKILL loses nothing that was received. The last calls are kept in memory as well.
"""

import os
from collections import deque
from collections.abc import Iterator
from enum import StrEnum
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec


class Outcome(StrEnum):
    """How a call ended."""

    ANSWERED = "answered"
    CUT = "cut"
    CLIENT_DISCONNECTED = "client_disconnected"
    STOPPED = "stopped"


class Received(msgspec.Struct, frozen=True, tag="received", tag_field="event"):
    """The line at receipt. Times in epoch milliseconds; absent headers and model are empty."""

    seq: int
    received_at: int
    path: str
    body_sha256: str
    attempt: int
    model: str = ""
    stream: bool = False
    request_id: str = ""
    idempotency_key: str = ""


class Finished(msgspec.Struct, frozen=True, tag="finished", tag_field="event"):
    """The line at the end. `status` 0: no head was sent. `chunks` counts SSE events, `bytes` all.

    `cause` says who wanted a failure: scripted, seeded, limit, refused, or empty. `tokens` are what the call
    counts for, question and whole answer; 0 where it was not admitted.
    """

    seq: int
    finished_at: int
    outcome: Outcome
    status: int = 0
    bytes: int = 0
    chunks: int = 0
    cause: str = ""
    fault: str = ""
    tokens: int = 0


class LoggedCall(msgspec.Struct):
    """One call with what is known of it; `finished` is None while it runs (or for ever)."""

    received: Received
    finished: Finished | None = None


class CallLog:
    """Numbers the calls, writes the file, keeps the last `capacity` calls. Use as a context."""

    def __init__(self, path: Path | None, capacity: int) -> None:
        """Write to `path` if given; numbering goes on after what the file holds already."""
        self._path = path
        self._file: int | None = None
        self._calls: deque[LoggedCall] = deque(maxlen=capacity)
        self._next_seq = 1

    def __enter__(self) -> Self:
        """Open the file for appending. Raises OSError."""
        if self._path is not None:
            self._next_seq = 1 + max((line.seq for line in _lines(self._path)), default=0)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            self._end_torn_line(self._file)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file; closing twice is fine."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    @staticmethod
    def _end_torn_line(file: int) -> None:
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":
            os.write(file, b"\n")

    @property
    def next_seq(self) -> int:
        """The number that the next received call must carry."""
        return self._next_seq

    def receive(self, line: Received) -> LoggedCall:
        """Write the first line of a call. Raises OSError: then the call must not be served."""
        self._write(line)
        self._next_seq = line.seq + 1
        call = LoggedCall(line)
        self._calls.append(call)
        return call

    def finish(self, call: LoggedCall, line: Finished) -> None:
        """Write the last line of a call. Raises OSError."""
        call.finished = line
        self._write(line)

    def _write(self, line: Received | Finished) -> None:
        if self._file is None:
            return
        encoded = msgspec.json.encode(line) + b"\n"
        if os.write(self._file, encoded) != len(encoded):
            raise OSError("the call log took only a part of a line")

    def since(self, seq: int, limit: int) -> list[LoggedCall]:
        """At most `limit` calls with a greater number, oldest first, as far as memory reaches."""
        if not self._calls or limit < 1:
            return []
        skipped = max(0, seq + 1 - self._calls[0].received.seq)
        return list(islice(self._calls, skipped, skipped + limit))

    @property
    def calls(self) -> list[LoggedCall]:
        """All calls in memory, oldest first."""
        return list(self._calls)

    def clear(self) -> None:
        """Forget the calls in memory; the file and the numbering go on."""
        self._calls.clear()


def read_log(path: Path) -> list[LoggedCall]:
    """The calls of a log file in order of receipt; a torn line is left out."""
    calls: dict[int, LoggedCall] = {}
    for line in _lines(path):
        if isinstance(line, Received):
            calls[line.seq] = LoggedCall(line)
        elif line.seq in calls:
            calls[line.seq].finished = line
    return list(calls.values())


def _lines(path: Path) -> Iterator[Received | Finished]:
    if not path.exists():
        return
    decoder = msgspec.json.Decoder(Received | Finished)
    with path.open("rb") as lines:
        for raw in lines:
            try:
                yield decoder.decode(raw)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
