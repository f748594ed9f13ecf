"""Another model name in a request body, every other byte as the client wrote it.

Only the outermost members are looked at: msgspec gives each value's raw bytes at C speed, a walk
over the keys finds where they stand. All members that spell `model`, with escapes too, are changed:
with a repeated key it is the upstream's parser that decides which one counts.
"""

import json
import re
from functools import cached_property
from typing import Final

import msgspec

MAX_MEMBERS: Final = 1_024
"""No API has so many parameters; each costs a step in Python while nothing else runs."""

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text = msgspec.json.Decoder(str)
_skip = json.JSONDecoder(strict=False).raw_decode

_OPEN: Final = re.compile(rb"[ \t\r\n]*\{[ \t\r\n]*")
_KEY: Final = re.compile(rb'("(?:[^"\\]++|\\.)*+")[ \t\r\n]*+:[ \t\r\n]*+', re.DOTALL)
_COMMA: Final = re.compile(rb"[ \t\r\n]*+,[ \t\r\n]*+")
_AFTER_VALUE: Final = frozenset((b",", b"}", b" ", b"\t", b"\r", b"\n"))


def rename_model(body: bytes, name: str) -> bytes:
    """`body` with the value of each top-level `model` replaced by `name`.

    A body that is not a JSON object, or has more than `MAX_MEMBERS`, is returned as it is: the
    upstream will say what it thinks of it.
    """
    try:
        spans = _Members(body).spans("model")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        return body
    encoded = msgspec.json.encode(name)
    out: list[bytes] = []
    at = 0
    for span in spans:
        out += (body[at : span.start], encoded)
        at = span.stop
    out.append(body[at:])
    return b"".join(out)


class _Members:
    """The outermost members of a JSON object. Raises what the decoders raise."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._values = _members.decode(body)

    def spans(self, wanted: str) -> list[slice]:
        """Where the values of the members called `wanted` stand."""
        found: list[slice] = []
        separator = _OPEN.match(self._body)
        for _ in range(MAX_MEMBERS):
            key = _KEY.match(self._body, separator.end()) if separator else None
            if key is None:
                return found
            name = _text.decode(key[1])
            end = self._end(key.end(), bytes(self._values[name]))
            if name == wanted:
                found.append(slice(key.end(), end))
            separator = _COMMA.match(self._body, end)
        raise ValueError("too many members")

    def _end(self, start: int, expected: bytes) -> int:
        """Where the value at `start` ends: it is the expected one, unless its key stands twice."""
        end = start + len(expected)
        if self._body.startswith(expected, start) and self._body[end : end + 1] in _AFTER_VALUE:
            return end
        return int(_skip(self._latin, start)[1])

    @cached_property
    def _latin(self) -> str:
        """Latin-1 keeps offsets, and no byte of a longer UTF-8 sequence looks like JSON syntax."""
        return self._body.decode("latin-1")
