"""Reading what routing needs from a request body, and nothing more.

A typed decoder skips what it does not know (the messages stay raw bytes), so a hostile body costs no
more memory than its own length; decoded into dicts it would grow 24-29 times.
"""

import re

import msgspec

MAX_DEPTH = 64
"""Levels of nesting that are let through; parsers behind us recurse, and their stacks are finite."""
MAX_BRACKETS = 200_000
"""Brackets outside of strings (100,000 arrays and objects): their number bounds the time spent here."""

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))


class Routing(msgspec.Struct):
    """The fields of a body that decide where it goes."""

    model: str = ""
    stream: bool | None = None


_decode = msgspec.json.Decoder(Routing).decode


class Unreadable(ValueError):
    """The body is not what the API takes; `param` names the field where one is to blame."""

    def __init__(self, message: str, *, malformed: bool, param: str | None = None) -> None:
        super().__init__(message)
        self.malformed = malformed
        self.param = param


def read(body: bytes) -> Routing:
    """Read `body`, a JSON object in UTF-8. Raises `Unreadable`."""
    try:
        routing = _decode(body)
        if not body.isascii():
            body.decode()
    except msgspec.ValidationError as error:
        raise _wrong_field(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unreadable("The body is not valid JSON.", malformed=True) from error
    except RecursionError as error:
        raise Unreadable(_TOO_DEEP, malformed=True) from error
    if deeper_than(body, MAX_DEPTH):
        raise Unreadable(_TOO_DEEP, malformed=True)
    return routing


_TOO_DEEP = (
    f"The body is nested deeper than {MAX_DEPTH} levels, or has too many arrays and objects."
)


def _wrong_field(reason: str) -> Unreadable:
    for field in ("model", "stream"):
        if reason.endswith(f"`$.{field}`"):
            return Unreadable(f"`{field}` has the wrong type.", malformed=False, param=field)
    return Unreadable("The body is not a JSON object.", malformed=True)


def deeper_than(body: bytes, levels: int) -> bool:
    """Whether valid JSON nests deeper than `levels`, or has too many brackets to tell in time.

    Few brackets cannot nest deeply, which settles nearly every body by two counts. Else strings are
    cut out, the rest is folded to one kind of bracket, and each replacement takes the innermost
    level away: what is left after `levels` of them was deeper.
    """
    if body.count(b"[") + body.count(b"{") <= levels:
        return False
    brackets = _STRING.sub(b"", body).translate(_ONE_KIND, _NO_BRACKET)
    if len(brackets) > MAX_BRACKETS:
        return True
    for _ in range(levels):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)
