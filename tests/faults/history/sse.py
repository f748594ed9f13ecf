"""Streams as their readers take them: payloads of events, and a digest that grows with each."""

import hashlib
from collections.abc import Iterator

DATA = b"data: "
DONE = b"[DONE]"


def payloads(raw: bytes) -> Iterator[bytes]:
    """The data of each event of a whole stream, `[DONE]` too; comments are left out."""
    for line in raw.split(b"\n"):
        if line.startswith(DATA):
            yield line[len(DATA) :]


class EventReader:
    """Cuts pieces of a stream into payloads, wherever the pieces begin and end."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The payloads that are whole now."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            if line.startswith(DATA):
                yield line[len(DATA) :]


class EventDigest:
    """SHA-256 over payloads, in order; `count` tells how many."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self.count = 0

    def add(self, payload: bytes) -> None:
        """One more."""
        self._sha256.update(payload + b"\n")
        self.count += 1

    def hexdigest(self) -> str:
        """So far."""
        return self._sha256.hexdigest()
