"""Following a request for one client: its states, its chunks as they come, its end.

One task a client. It waits for one of four things: the row changed, a chunk came, the client went, or
it is time for a comment that keeps the connection alive.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable

import msgspec

from headrace.ingress.connection import Listener
from headrace.ingress.index import Index, Results, Row
from headrace.ingress.jobs.ending import final_of
from headrace.ingress.jobs.events import BROKEN, EventStream, Gap
from headrace.ingress.jobs.watch import Watch
from headrace.ingress.kafka.chunks import Chunks, Tap
from headrace.ingress.refusal import Refusal
from headrace.schemas.errors import Code
from headrace.schemas.replies import Reply

MISSING_S = 5.0
"""How long a chunk that was acknowledged before the final may take to be read."""
LOOK_S = 0.25
"""How often it is looked after while a chunk is missing."""


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """Where what is told of a request comes from."""

    index: Index
    watch: Watch
    results: Results
    chunks: Chunks
    monotonic: Callable[[], float]
    keepalive_s: float


async def change(listener: Listener, within_s: float) -> bool:
    """Wait for the next wake-up of `listener`; False if none came in time."""
    done, _ = await asyncio.wait((listener.change(),), timeout=max(0.0, within_s))
    return bool(done)


async def until(
    sources: Sources, row: Row, listener: Listener, ends_at: float, met: Callable[[Row], bool]
) -> Row:
    """The row once it is as wanted, or as it is when the client went or `ends_at` (monotonic) has come."""
    with sources.watch.on(row.tenant, row.id, listener.wake):
        while True:
            row = sources.index.get(row.tenant, row.id) or row
            left_s = ends_at - sources.monotonic()
            if met(row) or left_s <= 0 or listener.lost:
                return row
            await change(listener, left_s)


class Tail:
    """One client that follows one request."""

    def __init__(self, sources: Sources, row: Row, stream: EventStream, listener: Listener) -> None:
        self._s = sources
        self._row = row
        self._stream = stream
        self._listener = listener
        self._tap: Tap | None = None
        self._place: tuple[int, int] | None = None
        self._final: Reply | Refusal | None = None
        self._moved_at = sources.monotonic()
        """When the stream last moved on."""

    @property
    def final(self) -> Reply | Refusal | None:
        """The end of the request, once it was read."""
        return self._final

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """What the client gets, piece by piece, until the end or until it went."""
        s, listener, stream = self._s, self._listener, self._stream
        began = s.monotonic()
        try:
            with s.watch.on(self._row.tenant, self._row.id, listener.wake):
                while not (listener.lost or stream.ended):
                    await self._learn()
                    # Nothing is awaited from here to `change`, so no wake-up is missed.
                    piece = self._advance()
                    if piece:
                        self._moved_at = s.monotonic()
                        yield piece
                    elif not stream.ended and not await change(listener, self._patience_s()):
                        waited_s = s.monotonic() - began
                        if not self._missing():
                            yield b": %b wait_s=%d\n\n" % (self._row.state.encode(), waited_s)
        finally:
            if self._tap is not None:
                s.chunks.leave(self._tap)

    async def _learn(self) -> None:
        """Look at the row, and fetch the final once there is one."""
        self._row = row = self._s.index.get(self._row.tenant, self._row.id) or self._row
        if row.ended and self._final is None:
            self._final = await final_of(row, self._s.results)
            self._moved_at = self._s.monotonic()

    def _advance(self) -> bytes:
        """What is new for the client."""
        row, stream, final = self._row, self._stream, self._final
        if isinstance(final, Refusal):
            return stream.fail(final.code, final.message)
        if not row.stream:
            told = stream.state(row.state.value, row.attempt)
            return told + stream.answer(final) if final is not None else told
        told = b"" if row.ended else stream.state(row.state.value, row.attempt)
        if row.attempt and not stream.follow(row.attempt, row.source.encode()):
            if final is None and row.attempt >= stream.attempt:
                return told + stream.fail(Code.UPSTREAM_STREAM_BROKEN, BROKEN)
        else:
            try:
                told += self._chunks()
            except Gap as gap:
                if final is None or not final.whole:
                    return told + stream.fail(Code.REPLY_LOST, str(gap))
        if final is not None and not self._missing():
            told += stream.end(final)
        return told

    def _chunks(self) -> bytes:
        """What has come of the attempt's chunks; begins to follow them where they are wanted."""
        row, final = self._row, self._final
        wanted = not isinstance(final, Reply) or self._stream.lacks(final)
        if wanted and row.chunks is not None and row.chunks != self._place:
            if self._tap is not None:
                self._s.chunks.leave(self._tap)
            self._place = row.chunks
            self._tap = self._s.chunks.open(row.id, *row.chunks, self._listener.wake)
        tap, told = self._tap, []
        if tap is not None:
            while (reply := tap.take()) is not None:
                told.append(self._stream.chunk(reply))
            if tap.overflowed:
                self._s.chunks.again(tap)
        return b"".join(told)

    def _missing(self) -> bool:
        """Whether the end has to wait for chunks that are known to be in the log."""
        final, tap = self._final, self._tap
        if not isinstance(final, Reply) or tap is None or tap.gone:
            return False
        late = self._s.monotonic() - self._moved_at >= MISSING_S
        return self._stream.lacks(final) and not late

    def _patience_s(self) -> float:
        return LOOK_S if self._missing() else self._s.keepalive_s
