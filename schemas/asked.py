"""What a request's body says of the tokens that it and its answers may take. No I/O."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from headrace.schemas.names import Endpoint

Number = int | float | None

_TEXTS: Final = frozenset(("text", "refusal", "input_text", "output_text", "thinking"))
"""Types of content parts whose tokens are in their bytes; those of all others are not."""
_NULL: Final = msgspec.Raw(b"null")
_PARTS_MARK: Final = b'"type"'
MOST_PARTS: Final = 10_000
"""More are not looked at one by one: it would keep the loop from everything else."""


class Asked(NamedTuple):
    """As far as a body says it."""

    each: float | None
    """Tokens that one answer may have; None: it does not say, or says 0 or less, which some upstreams take
    for no end."""
    answers: float
    media: int
    """Images, sounds, files and what else is no text, embedded or linked."""
    media_bytes: int
    """Theirs in the body, which say nothing of their tokens."""


class _Message(msgspec.Struct):
    content: msgspec.Raw = _NULL
    audio: msgspec.Raw = _NULL
    """Of an earlier answer, by its id."""


class _Body(msgspec.Struct):
    max_tokens: Number = None
    max_completion_tokens: Number = None
    n: Number = None
    best_of: Number = None
    messages: list[_Message] = []
    prompt: msgspec.Raw = _NULL


class _Part(msgspec.Struct):
    type: str = ""


_body = msgspec.json.Decoder(_Body)
_raws = msgspec.json.Decoder(list[msgspec.Raw])
_part = msgspec.json.Decoder(_Part | str)
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


NOTHING: Final = Asked(None, 1, 0, 0)


def asked(endpoint: Endpoint, body: bytes, *, strict: bool) -> Asked | None:
    """Read `body`. None: it is not formed as this API's bodies are, and the upstream may say so.

    Not `strict`: a part whose key `type` is written with escapes may be overlooked.
    """
    if endpoint is Endpoint.EMBEDDINGS and not strict and _PARTS_MARK not in body:
        return NOTHING
    try:
        read = _body.decode(body)
        parts = list(_media(read)) if strict or _PARTS_MARK in body else []
        prompts = _prompts(read.prompt) if endpoint is Endpoint.COMPLETIONS else 1
    except _UNREADABLE:
        return None
    stated = [one for one in (read.max_tokens, read.max_completion_tokens) if one is not None]
    # An upstream obeys one of them; nobody knows which.
    bounded = bool(stated) and min(stated) > 0
    answers = max(read.n or 1, read.best_of or 1, 1) * prompts
    return Asked(max(stated) if bounded else None, answers, len(parts), sum(parts))


def _media(body: _Body) -> Iterator[int]:
    """Of each the bytes that it has in the body."""
    seen = 0
    for message in body.messages:
        if _first(message.audio) == b"{":
            yield 0
        if _first(message.content) == b"[":
            parts = _raws.decode(message.content)
            seen += len(parts)
            if seen > MOST_PARTS:
                raise msgspec.ValidationError("too many parts")
            for raw in parts:
                if not _is_text(raw):
                    yield memoryview(raw).nbytes


def _is_text(part: msgspec.Raw) -> bool:
    read = _part.decode(part)
    return isinstance(read, str) or read.type in _TEXTS


def _prompts(prompt: msgspec.Raw) -> int:
    """A list of texts, or of lists of tokens, has an answer for each; a list of tokens has one."""
    if _first(prompt) != b"[" or bytes(memoryview(prompt)[1:9]).lstrip()[:1].isdigit():
        return 1
    each = _raws.decode(prompt)
    return len(each) if each and _first(each[0]) in (b'"', b"[") else 1


def _first(raw: msgspec.Raw) -> bytes:
    return bytes(memoryview(raw)[:1])
