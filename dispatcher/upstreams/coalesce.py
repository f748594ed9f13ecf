"""When the events of a stream go out: at once after a pause, else together with their neighbours.

An event that comes `linger` or more after the last chunk went out is forwarded at once, so the
first token never waits, nor does a slow stream. Others wait until `linger` is over or enough bytes
are there. One timer serves all streams of a process: with hundreds of them a timer each would cost
more than the tokens.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from headrace.dispatcher.ports import Forward
from headrace.schemas.replies import PART_BYTES


@dataclass(frozen=True, slots=True)
class ChunkPolicy:
    """How long events may wait for company, and how many bytes are company enough."""

    linger_s: float
    enough_bytes: int


class Pulse:
    """Flushes every stream that waits, `linger_s` after the first of them began to."""

    def __init__(self, policy: ChunkPolicy) -> None:
        self.policy: Final = policy
        self._waiting: list[Chunks] = []
        self._timer: asyncio.TimerHandle | None = None

    def join(self, chunks: "Chunks") -> None:
        """Flush `chunks` at the next beat."""
        self._waiting.append(chunks)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self.policy.linger_s, self._beat)

    def close(self) -> None:
        """Stop beating; may come twice."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _beat(self) -> None:
        waiting, self._waiting, self._timer = self._waiting, [], None
        for chunks in waiting:
            chunks.beat()


class Chunks:
    """The events of one stream on their way out, in order, each chunk at most `PART_BYTES`."""

    __slots__ = (
        *("_at", "_forward", "_held", "_joined", "_loop", "_pulse", "_size"),
        *("first_at", "forwarded"),
    )

    def __init__(self, forward: Forward, pulse: Pulse) -> None:
        self.forwarded = 0
        """Chunks handed over."""
        self.first_at: float | None = None
        """When the first one was, by the loop's clock."""
        self._forward = forward
        self._pulse = pulse
        self._loop = asyncio.get_running_loop()
        self._held: list[bytes] = []
        self._size = 0
        self._at = float("-inf")
        self._joined = False

    def add(self, events: bytes) -> None:
        """Take whole events, at most `PART_BYTES` of them; they go out now or at the next beat."""
        if not events:
            return
        self.hold(events)
        policy = self._pulse.policy
        quiet = self._loop.time() - self._at >= policy.linger_s
        if quiet or self._size >= policy.enough_bytes:
            self.flush()
        elif not self._joined:
            self._joined = True
            self._pulse.join(self)

    def hold(self, events: bytes) -> None:
        """Take whole events without a reason to let them go."""
        if self._size + len(events) > PART_BYTES:
            self.flush()
        self._held.append(events)
        self._size += len(events)

    def beat(self) -> None:
        """The pulse's call."""
        self._joined = False
        self.flush()

    def flush(self) -> None:
        """Hand over what is held."""
        if self._held:
            chunk = self.take()
            self.forwarded += 1
            self._at = self._loop.time()
            if self.first_at is None:
                self.first_at = self._at
            self._forward(chunk)

    def take(self) -> bytes:
        """What is held; nothing is afterwards, so a late beat finds nothing."""
        held = self._held[0] if len(self._held) == 1 else b"".join(self._held)
        self._held.clear()
        self._size = 0
        return held
