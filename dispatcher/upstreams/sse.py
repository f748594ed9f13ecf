"""Reads a stream of server-sent events without I/O: bytes in, whole events out, as they came.

Events are not rebuilt: what `feed` returns is a prefix of what it was given, cut after an event
(WHATWG HTML, 9.2: lines end in CRLF, LF or CR, an event in an empty line). Each event is only
looked at: is it text, is its data JSON, does it end the stream, does it carry an error.
"""

import re
from typing import Final

import msgspec

from headrace.dispatcher.costs import Text
from headrace.dispatcher.upstreams.deltas import text_of

MAX_FEED_BYTES: Final = 65_536
MAX_EVENT_BYTES: Final = 458_752
"""448 KiB: an event and the rest of one read fit one record of a reply topic (512 KiB)."""

_ANY_END: Final = re.compile(rb"(?:\r\n|\n)(?:\r\n?|\n)|\r\r\n?")
_BOM: Final = b"\xef\xbb\xbf"
_DONE: Final = b"[DONE]"
_NO_ERROR: Final = frozenset((b"null", b"false", b'""', b"{}", b"[]", b"0"))


class _Chunk(msgspec.Struct):
    error: msgspec.Raw = msgspec.Raw(b"null")


class _MeteredChunk(_Chunk):
    usage: msgspec.Raw = msgspec.Raw(b"null")
    choices: msgspec.Raw = msgspec.Raw(b"null")


_chunk = msgspec.json.Decoder(_Chunk)
_metered_chunk = msgspec.json.Decoder(_MeteredChunk)


class EventReader:
    """The state of one stream. Once `over`, what is fed is ignored."""

    __slots__ = (
        "_at_start",
        "_metered",
        "_rest",
        "_searched",
        "ended",
        "error",
        "fault",
        "has_data",
        "text",
        "usage",
    )

    def __init__(self, *, metered: bool = False) -> None:
        """`metered`: look for `usage` and text, too."""
        self.ended = False
        """`[DONE]` came."""
        self.error = b""
        """The error object of an error event, the last one that counts."""
        self.fault = ""
        """What broke the stream, in a few words; the event at fault is not returned."""
        self.has_data = False
        """An event with data came; before that there were only comments."""
        self.usage = b""
        """The last `usage` that an event told (JSON)."""
        self.text = Text()
        """That came, of one that is metered."""
        self._metered = metered
        self._rest = bytearray()
        self._searched = 0
        self._at_start = True

    @property
    def over(self) -> bool:
        """Whether nothing more is to be read."""
        return self.ended or bool(self.error) or bool(self.fault)

    def feed(self, data: bytes) -> bytes:
        """Take at most `MAX_FEED_BYTES`; returns the whole events that are now there."""
        if self.over:
            return b""
        self._rest += data
        end_of_event = _any_end if b"\r" in self._rest else _plain_end
        start = 0
        end = end_of_event(self._rest, self._searched)
        while end and not self.over:
            self._look_at(bytes(self._rest[start:end]))
            if not self.fault:
                start = end
                end = end_of_event(self._rest, start)
        return self._cut(start)

    def end(self) -> bytes:
        """The upstream closed. Returns a last `[DONE]` that lacks its empty line, if it is that."""
        last = bytes(self._rest)
        self._rest.clear()
        if not self.over:
            if _data(last).strip() == _DONE:
                self.ended = True
                return last
            self.fault = "ended inside an event" if last.strip() else "ended without [DONE]"
        return b""

    def _cut(self, start: int) -> bytes:
        whole = bytes(self._rest[:start])
        if self.over:
            self._rest.clear()
            return whole
        del self._rest[:start]
        # The end of an event is at most four bytes long, three of which may have come.
        self._searched = max(0, len(self._rest) - 3)
        if len(self._rest) > MAX_EVENT_BYTES:
            self.fault = "an event is too long"
            self._rest.clear()
        return whole

    def _look_at(self, event: bytes) -> None:
        try:
            event.decode()
        except UnicodeDecodeError:
            self.fault = "not UTF-8"
            return
        if self._at_start:
            self._at_start = False
            event = event.removeprefix(_BOM)
        data = _data(event)
        if data:
            self.has_data = True
            self._read(data)

    def _read(self, data: bytes) -> None:
        if data.strip() == _DONE:
            self.ended = True
            return
        try:
            chunk = _metered_chunk.decode(data) if self._metered else _chunk.decode(data)
        except (msgspec.MsgspecError, RecursionError):
            self.fault = "not JSON"
            return
        if isinstance(chunk, _MeteredChunk):
            self._meter(chunk)
        error = bytes(chunk.error).strip()
        if error not in _NO_ERROR:
            self.error = error

    def _meter(self, chunk: _MeteredChunk) -> None:
        usage = bytes(chunk.usage)
        if usage != b"null":
            self.usage = usage
        pieces, size = text_of(chunk.choices)
        if pieces:
            self.text = Text(self.text.pieces + pieces, self.text.size + size)


def _plain_end(buffer: bytearray, start: int) -> int:
    """Where the next event ends, if all lines end in LF; five times as quick. 0: not here yet."""
    at = buffer.find(b"\n\n", start)
    return at + 2 if at >= 0 else 0


def _any_end(buffer: bytearray, start: int) -> int:
    found = _ANY_END.search(buffer, start)
    return found.end() if found else 0


def _data(event: bytes) -> bytes:
    """The event's data: its `data` fields, joined by line feeds."""
    if event.startswith(b"data: ") and event.find(b"\n") == len(event) - 2 and b"\r" not in event:
        return event[6:-2]
    fields = [line[5:].removeprefix(b" ") for line in event.splitlines() if line[:5] == b"data:"]
    return b"\n".join(fields)
