"""What an answer's headers tell of the upstream's limits.

Read are `x-ratelimit-{limit,remaining,reset}[-{requests,tokens}][-{minute,day,..}]` (OpenAI and its
imitators, in any order of the words) and `anthropic-ratelimit-{requests,[input-|output-]tokens}-{..}`.
Few tell how long their window is, and the same name means a minute here and a day there; but what is
spent and when it will be there again tell it together.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from headrace.dispatcher.policy import retry_after
from headrace.schemas.tellings import Dimension, Window


def limit_of(windows: Iterable[Window], dimension: Dimension, per_ms: int) -> int | None:
    """The limit of that dimension in a window of that length; None where it is not told."""
    limits = [
        window.limit
        for window in windows
        if window.dimension is dimension and window.limit and window.lasts(per_ms)
    ]
    return min(limits, default=None)


class Told(msgspec.Struct, frozen=True):
    """Everything that the headers of one answer tell."""

    windows: tuple[Window, ...] = ()
    retry_ms: int | None = None
    """How long to wait before the next call."""

    def limit(self, dimension: Dimension, per_ms: int) -> int | None:
        """See `limit_of`."""
        return limit_of(self.windows, dimension, per_ms)


MOST_HEADERS: Final = 32
_NAME: Final = re.compile(r"(?:x|anthropic)-ratelimit-([a-z-]{1,64})")
_PERIODS_MS: Final = {"second": 1_000, "minute": 60_000, "hour": 3_600_000, "day": 86_400_000}
_FIELDS: Final = frozenset({"limit", "remaining", "reset"})
_DIMENSIONS: Final = {
    frozenset[str](): Dimension.REQUESTS,
    frozenset({"requests"}): Dimension.REQUESTS,
    frozenset({"req"}): Dimension.REQUESTS,
    frozenset({"tokens"}): Dimension.TOKENS,
    frozenset({"input", "tokens"}): Dimension.INPUT_TOKENS,
    frozenset({"output", "tokens"}): Dimension.OUTPUT_TOKENS,
}
_COUNT: Final = re.compile(r"\s*([0-9]{1,15})(?:\.0*)?\s*(?:[,;].*)?", re.ASCII | re.DOTALL)
_NUMBER: Final = re.compile(r"[0-9]{1,16}(?:\.[0-9]{0,9})?", re.ASCII)
_EPOCH_S: Final = 1_000_000_000
_EPOCH_MS: Final = 1_000_000_000_000


def read(headers: Mapping[str, str], now_ms: int) -> Told:
    """What `headers`, by lower-case name, tell at `now_ms`. What cannot be read is left out; never raises."""
    found: dict[tuple[Dimension, int | None], dict[str, int]] = {}
    for dimension, per_ms, name, said in _known(headers):
        value = _reset_ms(said, now_ms) if name == "reset" else _count(said)
        if value is not None:
            field = "reset_ms" if name == "reset" else name
            found.setdefault((dimension, per_ms), {})[field] = value
    windows = [Window(dimension, per_ms, **told) for (dimension, per_ms), told in found.items()]
    return Told(tuple(windows), retry_after.read(headers, now_ms))


def _known(headers: Mapping[str, str]) -> Iterator[tuple[Dimension, int | None, str, str]]:
    named = [(name, said) for name, said in headers.items() if "ratelimit-" in name]
    for name, said in named[:MOST_HEADERS]:
        matched = _NAME.fullmatch(name)
        if matched is None:
            continue
        words = frozenset(matched[1].split("-"))
        fields, periods = words & _FIELDS, words & _PERIODS_MS.keys()
        dimension = _DIMENSIONS.get(words - fields - periods)
        if dimension is not None and len(fields) == 1 and len(periods) <= 1:
            per_ms = next((_PERIODS_MS[period] for period in periods), None)
            yield dimension, per_ms, next(iter(fields)), said


def _count(said: str) -> int | None:
    matched = _COUNT.fullmatch(said[:64])
    return None if matched is None else int(matched[1])


def _reset_ms(said: str, now_ms: int) -> int | None:
    """A bare number is seconds from now, or an epoch's seconds or milliseconds, by its size."""
    said = said.strip()[:64]
    if not _NUMBER.fullmatch(said):
        return retry_after.until_ms(said, now_ms)
    number = float(said)
    if number < _EPOCH_S:
        wait_ms = number * 1000
    else:
        wait_ms = (number if number >= _EPOCH_MS else number * 1000) - now_ms
    return round(max(0.0, min(wait_ms, retry_after.LONGEST_MS)))
