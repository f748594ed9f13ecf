"""What one window asks of the generator, and what it answers; both are JSON on the wire."""

import math

import msgspec


class Target(msgspec.Struct, frozen=True):
    """Where requests go, and the one body they all carry."""

    port: int
    path: str
    body: str
    api_key: str = "none"

    def request(self) -> bytes:
        """The whole HTTP/1.1 request."""
        body = self.body.encode()
        head = (
            f"POST {self.path} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\n"
            f"authorization: Bearer {self.api_key}\r\ncontent-type: application/json\r\n"
            f"accept: application/json\r\nuser-agent: headrace-bench\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


class ClosedJob(msgspec.Struct, frozen=True, tag="closed"):
    """`connections` clients, each sending its next request when it has its answer."""

    target: Target
    connections: int
    warm_s: float
    seconds: float


class OpenJob(msgspec.Struct, frozen=True, tag="open"):
    """Poisson arrivals at `rate` a second, whatever the answers take."""

    target: Target
    rate: float
    warm_s: float
    seconds: float
    seed: int


class StreamsJob(msgspec.Struct, frozen=True, tag="streams"):
    """`streams` clients, each reading a stream of `tokens` tokens and then the next one."""

    target: Target
    streams: int
    tokens: int
    stream_s: float
    """How long one stream lasts: the starts are spread over this time."""
    seconds: float


Job = ClosedJob | OpenJob | StreamsJob


class Quantiles(msgspec.Struct, frozen=True):
    """A distribution in milliseconds. `curve` has the values at 0 %, 1 %, ... 100 %."""

    count: int
    p50: float
    p99: float
    curve: list[float]


NOTHING = Quantiles(0, math.inf, math.inf, [])
"""The distribution of no samples: it is worse than every bar."""


class Outcome(msgspec.Struct, frozen=True):
    """Of one window."""

    seconds: float
    completed: int
    """Requests (or streams) that ended well inside the measured part."""
    failed: int
    """Those that did not, at any time; more than 0 makes the window invalid."""
    first_failure: str = ""
    latency_ms: Quantiles | None = None
    """Closed: from the sending. Open: from the intended time. Streams: to the first token."""
    lag_ms: Quantiles | None = None
    """Open: how late the generator itself sent. It is part of the latency."""
    gaps_ms: Quantiles | None = None
    """Streams: between two reads of one stream that brought tokens."""
    token_ms: Quantiles | None = None
    """Streams: on the way from the upstream to here, the oldest token of each read."""
    tokens: int = 0


def quantiles(values: list[float]) -> Quantiles | None:
    """Nearest-rank quantiles of milliseconds; None of nothing."""
    if not values:
        return None
    ranked = sorted(values)
    last = len(ranked) - 1

    def at(share: float) -> float:
        return round(ranked[round(share * last)], 4)

    curve = [at(percent / 100) for percent in range(101)]
    return Quantiles(len(ranked), at(0.5), at(0.99), curve)
