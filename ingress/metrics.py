"""Metrics of this role, by the names that operators know from the reference.

What is counted once per request is kept in plain numbers and turned into metrics when scraped:
prometheus_client's own counters take a lock each, a dozen calls a request. There are as many models
and lanes as the configuration has, so labels cannot grow with what clients send.
"""

from bisect import bisect_left
from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from headrace.ingress.board import ReplyBoard
from headrace.ingress.index import Index
from headrace.schemas.errors import Code

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
"""Upper bounds of the histograms' buckets in seconds; a last one takes the rest."""


class Durations:
    """A histogram as plain numbers."""

    __slots__ = ("counts", "total_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total_s = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total_s += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """(upper bound, how many so far up to it), as Prometheus wants them."""
        total = 0
        found: list[tuple[str, float]] = []
        for bound, count in zip((*map(str, BOUNDS), "+Inf"), self.counts, strict=True):
            total += count
            found.append((bound, total))
        return found


class Metrics(Collector):
    """Counts and times; `registry` is what the metrics port serves."""

    def __init__(self, board: ReplyBoard, version: str, index: Index | None = None) -> None:
        self._board = board
        self._index = index
        self._version = version
        self._requests: dict[tuple[str, str, str], int] = {}
        self._refusals: dict[str, int] = {}
        self._seconds: dict[str, Durations] = {}
        self._first_token = Durations()
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def request(self, model: str, lane: str, outcome: str, elapsed_s: float) -> None:
        """A request that was admitted has ended."""
        labels = (model, lane, outcome)
        self._requests[labels] = self._requests.get(labels, 0) + 1
        durations = self._seconds.get(lane)
        if durations is None:
            durations = self._seconds[lane] = Durations()
        durations.add(elapsed_s)

    def refused(self, code: Code) -> None:
        """A request was turned away."""
        self._refusals[code.value] = self._refusals.get(code.value, 0) + 1

    def first_token(self, elapsed_s: float) -> None:
        """A stream's first upstream byte went out."""
        self._first_token.add(elapsed_s)

    def collect(self) -> Iterator[Metric]:
        """Called for each scrape."""
        yield from self._counted()
        yield from self._timed()
        yield GaugeMetricFamily(
            "headrace_inflight_requests", "Requests that wait for their answer.", len(self._board)
        )
        yield GaugeMetricFamily(
            "headrace_inflight_bytes", "Bytes of answers held for clients.", self._board.held_bytes
        )
        yield GaugeMetricFamily(
            "headrace_index_ready",
            "1 once the index knows all that stood in the log when the process started.",
            int(self._index is not None and self._index.ready),
        )
        yield GaugeMetricFamily(
            "headrace_state_recovery_seconds",
            "How long the index took to read what stood in the log; 0 until it is ready.",
            self._index.progress.recovery_s if self._index else 0,
        )
        build = GaugeMetricFamily(
            "headrace_build_info", "1; the version is a label.", labels=["version"]
        )
        build.add_metric([self._version], 1)
        yield build

    def _counted(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "headrace_requests",
            "Exchanges by how they ended; `accepted`: of a job, whose own end a dispatcher counts.",
            labels=["model", "lane", "outcome"],
        )
        for labels, count in self._requests.items():
            requests.add_metric(labels, count)
        yield requests
        refusals = CounterMetricFamily(
            "headrace_refusals", "Requests turned away before they were queued.", labels=["code"]
        )
        for code, count in self._refusals.items():
            refusals.add_metric([code], count)
        yield refusals
        yield CounterMetricFamily(
            "headrace_duplicates_dropped",
            "Replies nobody waited for, and outcomes after the first of their request.",
            self._board.dropped + (self._index.duplicates if self._index else 0),
        )

    def _timed(self) -> Iterator[Metric]:
        seconds = HistogramMetricFamily(
            "headrace_request_duration_seconds",
            "From the request line to the end of the answer.",
            labels=["lane"],
        )
        for lane, durations in self._seconds.items():
            seconds.add_metric([lane], durations.buckets(), durations.total_s)
        yield seconds
        yield HistogramMetricFamily(
            "headrace_time_to_first_token_seconds",
            "From the request line to the first upstream byte of a stream.",
            buckets=self._first_token.buckets(),
            sum_value=self._first_token.total_s,
        )
