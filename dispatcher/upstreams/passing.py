"""Which headers go to an upstream, and which of its own come back: allow-lists, nothing else."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from headrace.schemas.headers import MAX_VALUE_BYTES
from headrace.telemetry.traces import TRACEPARENT

MAX_KEPT: Final = 32

_KEPT: Final = frozenset(
    ("openai-processing-ms", "openai-version", "retry-after", "retry-after-ms", "x-should-retry")
)
_KEPT_PREFIXES: Final = ("x-ratelimit-", "anthropic-ratelimit-")


def kept(headers: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """The response headers that retries or clients need, by lower-case name; at most `MAX_KEPT`."""
    found: dict[str, str] = {}
    for name, value in headers:
        key = _kept_name(name)
        if key and len(value) <= MAX_VALUE_BYTES and value.isascii() and len(found) < MAX_KEPT:
            found[key] = value
    return found


def id_header(request_id: str) -> str:
    """A request id as a header value; a producer's own may hold what no header can."""
    if request_id.isascii() and request_id.isprintable():
        return request_id
    return quote(request_id, safe="")


def traceparent_header(traceparent: bytes) -> str:
    """A well-formed W3C trace context, else nothing."""
    return traceparent.decode() if TRACEPARENT.fullmatch(traceparent) else ""


@lru_cache(maxsize=256)
def _kept_name(name: str) -> str:
    key = name.lower()
    return key if key in _KEPT or key.startswith(_KEPT_PREFIXES) else ""
