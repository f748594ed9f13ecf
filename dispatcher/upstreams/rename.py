"""Another model name in a request body, every other byte as the client wrote it.

Only the outermost members are looked at: msgspec gives each value's raw bytes at C speed, a walk
over the keys finds where they stand. All members that spell `model`, with escapes too, are changed:
with a repeated key it is the upstream's parser that decides which one counts.
"""

import json
import re
from collections.abc import Iterator
from typing import Final

import msgspec

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text = msgspec.json.Decoder(str)
_skip = json.JSONDecoder(strict=False).raw_decode

_OPEN: Final = re.compile(rb"[ \t\r\n]*\{[ \t\r\n]*")
_KEY: Final = re.compile(rb'("(?:[^"\\]++|\\.)*+")[ \t\r\n]*+:[ \t\r\n]*+', re.DOTALL)
_COMMA: Final = re.compile(rb"[ \t\r\n]*+,[ \t\r\n]*+")


def rename_model(body: bytes, name: str) -> bytes:
    """`body` with the value of each top-level `model` replaced by `name`.

    A body that is not a JSON object is returned as it is: the upstream will say so.
    """
    try:
        spans = [span for key, span in _values(body) if key == "model"]
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


def _values(body: bytes) -> Iterator[tuple[str, slice]]:
    """Each outermost member's key, and where its value stands. Raises what the decoders raise."""
    members = _members.decode(body)
    separator = _OPEN.match(body)
    while separator is not None:
        key = _KEY.match(body, separator.end())
        if key is None:
            return
        name = _text.decode(key[1])
        end = _end(body, key.end(), members[name])
        yield name, slice(key.end(), end)
        separator = _COMMA.match(body, end)


def _end(body: bytes, start: int, expected: msgspec.Raw) -> int:
    """Where the value at `start` ends; `expected` is it, unless the key stands twice."""
    value = bytes(expected)
    end = start + len(value)
    if body.startswith(value, start) and body[end : end + 1] in (
        b",",
        b"}",
        b" ",
        b"\t",
        b"\r",
        b"\n",
    ):
        return end
    # Latin-1 keeps offsets, and no byte of a UTF-8 sequence looks like JSON syntax.
    return int(_skip(body.decode("latin-1"), start)[1])
