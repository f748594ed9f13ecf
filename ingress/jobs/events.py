"""The events of a request: chunks and states in, an event stream out. Sans-IO.

How it works. Each event of the upstream's stream goes out as it came, with an `id:` line that says how
far the reader is: `<attempt>.<seq>` after the last event of a chunk, `<attempt>.<seq>.<n>` when n more
events after chunk `seq` were sent. `Last-Event-ID` takes the stream up exactly there, on any replica,
since chunks are counted by their seq and not by who reads them.

A stream is pinned to the attempt (and process) of its first chunk, here or at the replica that sent
the id. Until then a newer attempt takes over; after it, anything else ends the stream with an error
event (P11). On `results` a final holds the whole text: where chunks are gone it serves in their place.
"""

import re
from collections.abc import Iterator

import msgspec

from headrace.schemas.errors import CATALOGUE, Code, error_body, error_event
from headrace.schemas.replies import Reply

_ID = re.compile(rb"(\d{1,6})\.(\d{1,9})(?:\.(\d{1,9}))?")
_EVENT = re.compile(rb".*?(?:\r\n\r\n|\n\n|\r\r)", re.DOTALL)
_LINE = re.compile(rb"\r\n|\r|\n")


class Cursor(msgspec.Struct, frozen=True):
    """A place in a stream: after chunk `seq` of `attempt`, and `events` more."""

    attempt: int
    seq: int = 0
    events: int = 0

    def encode(self) -> bytes:
        """As an `id:` line and `Last-Event-ID` say it."""
        if self.events:
            return b"%d.%d.%d" % (self.attempt, self.seq, self.events)
        return b"%d.%d" % (self.attempt, self.seq)


def read_cursor(value: bytes) -> Cursor | None:
    """Read `Last-Event-ID`; None for what is none of ours."""
    found = _ID.fullmatch(value.strip())
    if found is None:
        return None
    attempt, seq, events = found.groups()
    return Cursor(int(attempt), int(seq), int(events or 0))


class EventStream:
    """What one reader has got, and gets next."""

    def __init__(self, after: Cursor | None = None, *, plain: bool = False) -> None:
        """`plain`: the upstream's bytes alone, without ids and states, as a first answer has them."""
        self._plain = plain
        self.attempt = after.attempt if after is not None else 0
        """The attempt it is pinned to, or would be; 0 before the first is known."""
        self._seen = after or Cursor(0)
        """What the reader has; nothing at or before it is sent again."""
        self._source = b""
        self._next_seq = 1
        self._passed = 0
        """Bytes of the stream's text up to the next chunk, sent here or before."""
        self._state = ""
        self.ended = False

    @property
    def begun(self) -> bool:
        """Whether the reader has any event of an attempt, so that no other may follow."""
        return self._seen.seq > 0 or self._seen.events > 0 or self._next_seq > 1

    @property
    def chunks(self) -> int:
        """How many chunks were taken so far."""
        return self._next_seq - 1

    def state(self, state: str, attempt: int) -> bytes:
        """An event about the request's state, where it is news."""
        word = f"{state}.{attempt}"
        if word == self._state or self.ended or self._plain:
            return b""
        self._state = word
        return b'event: state\ndata: {"state":"%b","attempt":%d}\n\n' % (state.encode(), attempt)

    def follow(self, attempt: int, source: bytes) -> bool:
        """Whether chunks of `attempt`, made by the process `source`, may come next.

        A newer attempt than the one that was begun breaks the stream; a number that was used twice
        does so too, where it is noticed.
        """
        if self.begun:
            known = self._source or source
            return attempt == self.attempt and known == source
        if attempt > self.attempt:
            self.attempt, self._seen = attempt, Cursor(attempt)
        return attempt == self.attempt

    def chunk(self, reply: Reply) -> bytes:
        """Take a chunk, in the order of the log; returns what the reader lacks of it.

        Repeats and other attempts are dropped. Raises `Gap` where a chunk is missing before it.
        """
        if self.ended or reply.attempt != self.attempt:
            return b""
        if self._source and reply.source != self._source:
            return b""
        if reply.seq < self._next_seq:
            return b""
        if reply.seq > self._next_seq:
            raise Gap(f"chunk {self._next_seq} of attempt {self.attempt} is missing")
        self._source = reply.source
        self._next_seq += 1
        self._passed += len(reply.body)
        return self._lacking(reply.body, reply.seq)

    def lacks(self, final: Reply) -> bool:
        """Whether chunks that precede `final` are needed: the whole text serves beyond the reader's place."""
        if not self._fits(final):
            return False
        needed = final.seq - 1
        return self.chunks < (min(needed, self._seen.seq) if final.whole else needed)

    def end(self, final: Reply) -> bytes:
        """The end of the stream by its final: its last bytes, or the error event it ends with."""
        if final.status != 200:
            return self._close(error_event(final.body, final.status))
        if not self._fits(final):
            return self.fail(Code.UPSTREAM_STREAM_BROKEN, BROKEN)
        body, seq = final.body, final.seq
        if final.whole:
            if self.chunks < seq - 1:
                # Its chunks are gone: the text itself, counted from the last chunk that was taken.
                if self._seen.seq > self.chunks and self._seen.seq < seq:
                    return self.fail(Code.REPLY_LOST, _GONE)
                seq = self.chunks + 1
            body = body[self._passed :]
        elif self.chunks < seq - 1:
            return self.fail(Code.REPLY_LOST, _GONE)
        self.attempt = final.attempt
        return self._close(self._lacking(body, seq, last=final.seq))

    def answer(self, final: Reply) -> bytes:
        """The whole answer of a request that is no stream, as one event."""
        self.attempt = final.attempt
        seen = self._seen.attempt == final.attempt and self._seen.seq >= 1
        if final.status != 200:
            return self._close(error_event(final.body, final.status))
        event = b"" if seen else _answer(final.body, Cursor(final.attempt, 1))
        return self._close(event)

    def fail(self, code: Code, message: str) -> bytes:
        """An explicit error event, the last of the stream."""
        return self._close(error_event(error_body(code, message), CATALOGUE[code].status))

    def _fits(self, final: Reply) -> bool:
        """Whether `final` is of the attempt that the reader has a part of, if it has any."""
        if not self.begun:
            return True
        return final.attempt == self.attempt and self._source in (b"", final.source)

    def _lacking(self, body: bytes, seq: int, *, last: int = 0) -> bytes:
        """`body`, which is chunk `seq`, without the events that the reader has, and with ids."""
        seen = self._seen
        if seq <= seen.seq or self._plain:
            return body if self._plain else b""
        events = _events(body)
        skip = seen.events if seq == seen.seq + 1 else 0
        if skip >= len(events):
            # Counted in the text as a whole, where chunks held fewer events.
            self._seen = Cursor(seen.attempt, seq, skip - len(events))
        return b"".join(_identified(events, skip, self.attempt, seq, last or seq))

    def _close(self, event: bytes) -> bytes:
        self.ended = True
        return event


class Gap(Exception):
    """A chunk is missing in the log."""


BROKEN = "The stream broke, and another attempt took its place; the job has the whole answer."
_GONE = "Chunks after this id are not kept any more; the job has the whole answer."


def _events(body: bytes) -> list[bytes]:
    """Whole events; what follows the last empty line counts as one."""
    events = _EVENT.findall(body)
    rest = body[sum(map(len, events)) :]
    return [*events, rest] if rest else events


def _identified(
    events: list[bytes], skip: int, attempt: int, seq: int, last: int
) -> Iterator[bytes]:
    """`events` from `skip` on, each with its id before the empty line. The last completes chunk `last`."""
    for number, event in enumerate(events[skip:], skip + 1):
        done = number == len(events)
        cursor = Cursor(attempt, last) if done else Cursor(attempt, seq - 1, number)
        yield b"%b\nid: %b\n\n" % (event.rstrip(b"\r\n"), cursor.encode())


def _answer(body: bytes, cursor: Cursor) -> bytes:
    """`body` as one event; a line break in it is one between two `data:` lines."""
    lines = b"".join(b"data: %b\n" % line for line in _LINE.split(body.strip()))
    return b"id: %b\n%b\n" % (cursor.encode(), lines)
