"""Metrics of this role, by the names that operators know from the reference.

Children are bound once per label set, and there are as many models and lanes as the configuration
has, so labels cannot grow with what clients send. Gauges are read when scraped and cost a request nothing.
"""

from collections.abc import Callable
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from headrace.ingress.board import ReplyBoard
from headrace.schemas.errors import Code

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Metrics:
    """Counts and times; `registry` is what the metrics port serves."""

    def __init__(self, board: ReplyBoard, version: str) -> None:
        self.registry = CollectorRegistry()
        requests = Counter(
            "headrace_requests",
            "Requests by how they ended.",
            ("model", "lane", "outcome"),
            registry=self.registry,
        )
        seconds = Histogram(
            "headrace_request_duration_seconds", "From the request line to the end of the answer.", ("lane",),
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        refusals = Counter(
            "headrace_refusals",
            "Requests turned away before they were queued.",
            ("code",),
            registry=self.registry,
        )
        first = Histogram(
            "headrace_time_to_first_token_seconds",
            "From the request line to the first upstream byte of a stream.",
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self.first_token: Callable[[float], None] = first.observe
        self._count = cache(lambda model, lane, outcome: requests.labels(model, lane, outcome).inc)
        self._observe = cache(lambda lane: seconds.labels(lane).observe)
        self._refusals = refusals
        Gauge(
            "headrace_inflight_requests",
            "Requests that wait for their answer.",
            registry=self.registry,
        ).set_function(lambda: len(board))
        Gauge(
            "headrace_inflight_bytes", "Bytes of answers held for clients.", registry=self.registry
        ).set_function(lambda: board.held_bytes)
        Gauge(
            "headrace_build_info",
            "1; the version is a label.",
            ("version",),
            registry=self.registry,
        ).labels(version).set(1)
        self.registry.register(_Duplicates(board))

    def request(self, model: str, lane: str, outcome: str, elapsed_s: float) -> None:
        """A request that was queued has ended."""
        self._count(model, lane, outcome)()
        self._observe(lane)(elapsed_s)

    def refused(self, code: Code) -> None:
        """A request was turned away."""
        self._refusals.labels(code.value).inc()


class _Duplicates(Collector):
    """`duplicates_dropped_total`, kept by the board as a plain number."""

    def __init__(self, board: ReplyBoard) -> None:
        self._board = board

    def collect(self) -> list[CounterMetricFamily]:
        """Called for each scrape."""
        return [
            CounterMetricFamily(
                "headrace_duplicates_dropped",
                "Replies nobody waited for.",
                value=self._board.dropped,
            )
        ]
