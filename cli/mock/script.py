"""The words of a script: what the mock should do with a call, as one checked frozen value."""

from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Annotated

import msgspec
from msgspec import Meta

from headrace.cli.mock.errors import STATUSES

MAX_TOKENS = 10_000_000
MAX_WAIT_MS = 86_400_000
MAX_STEPS = 16

Wait = Annotated[float, Meta(ge=0, le=MAX_WAIT_MS)]
Rate = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0, le=MAX_TOKENS)]
# These end in a header or an error body: no control characters, so no header can be smuggled in.
Text = Annotated[str, Meta(pattern=r"^[\x20-\x7e]{1,64}$")]

ALIASES = {
    "latency": "latency_ms",
    "ttft": "first_token_ms",
    "tps": "tokens_per_s",
    "rpm": "requests_per_minute",
    "tpm": "tokens_per_minute",
}


class ScriptError(ValueError):
    """A script that cannot be understood; its text names the word and is safe to show."""


class Fault(StrEnum):
    """The ways in which an answer can break, other than by an error status."""

    NONE = "none"
    RESET = "reset"
    CLOSE = "close"
    STALL = "stall"
    STALL_AFTER = "stall_after"
    CUT = "cut"
    FIN = "fin"
    NO_DONE = "no_done"
    TRUNCATE = "truncate"
    MALFORMED = "malformed"
    BAD_UTF8 = "bad_utf8"
    HUGE_LINE = "huge_line"
    ERROR_EVENT = "error_event"


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every word with its default: a quick, whole answer. docs/mock.md describes each word."""

    latency_ms: Wait = 0
    first_token_ms: Wait = 0
    tokens: Count = 16
    tokens_per_s: Annotated[float, Meta(ge=0, le=1_000_000)] = 0
    bytes_per_s: Annotated[float, Meta(ge=0, le=1_000_000_000)] = 0
    status: int = 200
    code: Annotated[str, Meta(pattern=r"^[\x20-\x7e]{0,64}$")] = ""
    retry_after: Text = "none"
    retry_after_ms: Text = "none"
    should_retry: Text = "none"
    fault: Fault = Fault.NONE
    after: Count = 3
    huge_bytes: Annotated[int, Meta(ge=1, le=67_108_864)] = 8_388_608
    fail: str = "none"
    rate_5xx: Rate = 0
    rate_429: Rate = 0
    rate_4xx: Rate = 0
    max_failures: Annotated[int, Meta(ge=0)] | None = None
    requests_per_minute: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    tokens_per_minute: Count = 0
    window_s: Annotated[float, Meta(gt=0, le=3600)] = 60
    concurrency: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    slow_above: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    dimensions: Annotated[int, Meta(ge=1, le=4096)] = 256
    sign: bool = False

    def __post_init__(self) -> None:
        """Refuse what the types cannot: an unknown status, rates above 1, bad steps."""
        check_status(self.status)
        if self.rate_5xx + self.rate_429 + self.rate_4xx > 1:
            raise ValueError("rate_5xx + rate_429 + rate_4xx is above 1")
        failing_steps(self.fail)


def check_status(status: int) -> None:
    """Raise ValueError unless the mock has an answer for `status`."""
    if status != 200 and status not in STATUSES:
        known = " ".join(str(each) for each in sorted(STATUSES))
        raise ValueError(f"status {status} is not one of 200 {known}")


@lru_cache(maxsize=1024)
def failing_steps(fail: str) -> tuple[tuple[int, int | Fault], ...]:
    """Read `fail`: `2x500+1xcut` -> ((2, 500), (1, Fault.CUT)). Raises ValueError."""
    if fail == "none":
        return ()
    parts = fail.split("+")
    if len(parts) > MAX_STEPS:
        raise ValueError(f"fail has more than {MAX_STEPS} steps")
    return tuple(_failing_step(part) for part in parts)


def _failing_step(part: str) -> tuple[int, int | Fault]:
    times, separator, what = part.partition("x")
    if not separator or not times.isascii() or not times.isdigit() or len(times) > 6:
        raise ValueError(f"fail step {part!r} is not like 2x500 or 1xcut")
    if what.isascii() and what.isdigit():
        check_status(int(what))
        return int(times), int(what)
    if what not in tuple(Fault):
        raise ValueError(f"fail step {part!r} names neither a status nor a fault")
    return int(times), Fault(what)


def parse_words(text: str) -> dict[str, str]:
    """Split `latency_ms=100;status=503` (or with commas) into words, aliases resolved.

    Unknown words are left for `build_script`; a part without `=` raises ScriptError.
    """
    words: dict[str, str] = {}
    for part in text.replace(",", ";").split(";"):
        if not part.strip():
            continue
        name, separator, value = part.partition("=")
        if not separator:
            raise ScriptError(f"{part.strip()!r} is not of the form word=value")
        words[canonical(name)] = value.strip()
    return words


def canonical(name: str) -> str:
    """The word that `name` or its alias stands for; unknown names come back as they are."""
    word = name.strip()
    return ALIASES.get(word, word)


def is_word(name: str) -> bool:
    """Whether `name` is a word of the script or an alias of one."""
    return canonical(name) in Script.__struct_fields__


def build_script(words: Mapping[str, str]) -> Script:
    """Check the merged words and build the script. Raises ScriptError naming the word."""
    try:
        return msgspec.convert(dict(words), Script, strict=False)
    except msgspec.ValidationError as refused:
        raise ScriptError(str(refused)) from refused
