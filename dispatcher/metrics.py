"""The dispatcher's metrics, by the names of docs/reference/metrics.md. No ids, no tenants as labels."""

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from headrace.dispatcher.breakers.switch import Switch
from headrace.dispatcher.governor.pauses import Pauses
from headrace.dispatcher.lag import Behind
from headrace.dispatcher.outcome import Ending, queue_ms
from headrace.dispatcher.policy.signals import Signal, classify
from headrace.dispatcher.ports import CallEnd
from headrace.dispatcher.token_metrics import TokenMetrics
from headrace.dispatcher.verdicts import Reason
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.breakers import State
from headrace.schemas.names import DeploymentName, LaneName
from headrace.schemas.settings import Scope

_WAITS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 3600)

_BREAKER_CODES = {
    State.CLOSED: 0,
    State.RAMP: 1,
    State.HALF_OPEN: 2,
    State.OPEN: 3,
    State.FORCED_OPEN: 4,
    State.FORCED_CLOSED: 5,
    State.METRICS_ONLY: 6,
    State.DISABLED: 7,
}


class Metrics:
    """Counters and histograms of one process; label children are looked up once."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._children: dict[tuple[str, ...], Counter | Histogram] = {}
        self._of_requests(registry)
        self._of_the_journal(registry)
        self._of_limits(registry)
        self._of_breakers(registry)
        self._of_now(registry)
        self.tokens = TokenMetrics(registry)

    def _of_requests(self, registry: CollectorRegistry) -> None:
        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(f"headrace_{name}", what, labels, registry=registry)

        def histogram(name: str, what: str, *labels: str) -> Histogram:
            return Histogram(f"headrace_{name}", what, labels, buckets=_WAITS, registry=registry)

        self._ended = counter(
            "dispatched_requests", "Requests that reached a terminal state.", "lane", "outcome"
        )
        self._queue_wait = histogram(
            "queue_wait_seconds", "From acceptance to the first call.", "lane"
        )
        self._duration = histogram(
            "upstream_request_duration_seconds",
            "One upstream call, from seat to last byte.",
            "deployment",
        )
        self._responses = counter(
            "upstream_responses",
            "Upstream calls by how they ended.",
            "deployment",
            "code",
            "error_type",
        )
        self._refused = counter(
            "credential_refusals",
            "Calls refused for the deployment's key or account: waiting does not help.",
            "deployment",
        )
        self._retries = counter("retries", "Attempts that are to be repeated.", "reason")
        self._dead = counter("dead_letters", "Records kept as dead letters.", "reason")
        self.retry_late = histogram(
            "retry_late_seconds", "How late after its due time a retry was woken."
        )

    def _of_the_journal(self, registry: CollectorRegistry) -> None:
        def counter(name: str, what: str) -> Counter:
            return Counter(f"headrace_{name}", what, registry=registry)

        self.duplicates = counter(
            "duplicate_requests",
            "Records dropped since their request is in hand, or was, elsewhere.",
        )
        self.fenced = counter(
            "fenced_results", "Hand-overs dropped: another process had taken over before."
        )
        self.parked = counter(
            "parked_calls", "Calls that were too slow for their partition to wait."
        )
        self.records_lost = counter(
            "records_lost", "Records that retention removed before they were read."
        )
        self.ambiguous = counter("ambiguous_calls", "Calls that a crash left without a known end.")
        self._rebalances = counter("rebalances", "Assignments taken.")
        self._rebalanced = 0

    def _of_limits(self, registry: CollectorRegistry) -> None:
        self._limit_wait = Histogram(
            "headrace_limit_wait_seconds",
            "From the queue of a deployment with limits of the fleet to the dispatch; which of its limits "
            "made a request wait is not known here.",
            ("deployment",),
            buckets=_WAITS,
            registry=registry,
        )
        self._credits_refused = Counter(
            "headrace_credits_refused",
            "Calls that were not sent: their credits were gone when the connection stood.",
            ("deployment",),
            registry=registry,
        )
        self._late_sends = Counter(
            "headrace_late_sends",
            "Calls whose first byte left later after their credits were spent than the guard allows for: the "
            "upstream may count them in another window than the governor.",
            ("deployment",),
            registry=registry,
        )
        self.credits_lapsed = Counter(
            "headrace_credits_lapsed",
            "Times in which no governor was heard of for as long as credits live.",
            registry=registry,
        )
        self.seats_lost = Counter(
            "headrace_seats_lost",
            "Calls that were cut since no governor was heard of: their seats are given to others.",
            registry=registry,
        )
        self.limit_records = Counter(
            "headrace_limit_records_passed_over",
            "Records of `limits.grants` that could not be read.",
            registry=registry,
        )

    def _of_breakers(self, registry: CollectorRegistry) -> None:
        self._breaker_state = Gauge(
            "headrace_breaker_state",
            "The breaker as this process obeys it: 0 closed, 1 ramp, 2 half open, 3 open, 4 forced open, "
            "5 forced closed, 6 metrics only, 7 disabled.",
            ("deployment",),
            registry=registry,
        )
        self._breaker_trips = Counter(
            "headrace_breaker_local_trips",
            "Times this process called a deployment less often, since all of the last calls had failed.",
            ("deployment",),
            registry=registry,
        )
        self.put_aside = Counter(
            "headrace_put_aside",
            "Requests sent to a delay topic since they would wait for long and kept others from being read.",
            registry=registry,
        )
        self.deferred = Counter(
            "headrace_breaker_deferrals",
            "Requests put off since no deployment of their model could be called.",
            registry=registry,
        )

    def _of_now(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, what: str, *labels: str) -> Gauge:
            return Gauge(f"headrace_{name}", what, labels, registry=registry)

        self.in_flight = gauge(
            "upstream_inflight_requests", "Upstream calls running now.", "deployment"
        )
        self.queued = gauge("read_ahead_records", "Requests read and waiting for a seat.", "lane")
        self.waiting_retries = gauge(
            "waiting_retries", "Requests that wait in memory for a point in time."
        )
        self._lag = gauge(
            "consumer_lag_records", "Records not read or not finished, of owned partitions.", "lane"
        )
        self._oldest = gauge(
            "oldest_unfinished_seconds", "Age of the oldest unfinished record.", "lane"
        )
        self._lag_s = gauge(
            "consumer_lag_seconds",
            "How long the record has waited that waits longest for its first call, read or not, in owned "
            "partitions.",
            "lane",
        )
        self.recovery = gauge(
            "state_recovery_seconds",
            "How long it took to learn from the journals what earlier owners did, at the last assignment.",
        )
        self._paused = gauge(
            "paused", "Lanes, tenants or deployments that operators hold back, as obeyed.", "scope"
        )
        self._held = gauge("held_requests", "Requests read and held by a pause.", "lane")

    def called(self, deployment: DeploymentName, end: CallEnd, seconds: float) -> None:
        """An upstream call ended."""
        key = ("called", deployment, str(end.status), end.broken or "")
        child = self._children.get(key)
        if child is None:
            child = self._responses.labels(deployment, str(end.status), end.broken or "none")
            self._children[key] = child
        child.inc()  # type: ignore[union-attr]
        if end.status >= 400 and classify(end) is Signal.CREDENTIAL:
            self._refused.labels(deployment).inc()
        self._histogram(self._duration, "duration", deployment).observe(seconds)

    def ended(self, waiting: Waiting, ending: Ending) -> None:
        """A request reached its terminal state."""
        key = ("ended", waiting.lane, ending.outcome.value)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._ended.labels(waiting.lane, ending.outcome.value)
        child.inc()  # type: ignore[union-attr]

    def first_call(self, waiting: Waiting) -> None:
        """A request's first call begins."""
        self._histogram(self._queue_wait, "queue_wait", waiting.lane).observe(
            queue_ms(waiting) / 1000
        )

    def limit_wait(self, deployment: DeploymentName, seconds: float) -> None:
        """A request was dispatched that had to wait so long for credits and a seat."""
        self._histogram(self._limit_wait, "limit_wait", deployment).observe(seconds)

    def credits_refused(self, deployment: DeploymentName) -> None:
        """A call was not sent."""
        self._credits_refused.labels(deployment).inc()

    def late_send(self, deployment: DeploymentName) -> None:
        """A call's first byte left late."""
        self._late_sends.labels(deployment).inc()

    def retried(self, reason: str) -> None:
        """An attempt is to be repeated."""
        self._retries.labels(reason).inc()

    def observe(
        self, queued: dict[LaneName, int], timers: int, in_flight: dict[DeploymentName, int]
    ) -> None:
        """How full the process is."""
        for lane, count in queued.items():
            self.queued.labels(lane).set(count)
        self.waiting_retries.set(timers)
        for deployment, count in in_flight.items():
            self.in_flight.labels(deployment).set(count)

    def breakers(self, switches: Iterable[Switch]) -> None:
        """What this process may call."""
        for switch in switches:
            self._breaker_state.labels(switch.deployment).set(_BREAKER_CODES[switch.state])
            if switch.trips:
                self._breaker_trips.labels(switch.deployment).inc(switch.trips)
                switch.trips = 0

    def paused(self, pauses: Pauses, held: Mapping[LaneName, int]) -> None:
        """What operators hold back."""
        for scope in Scope:
            self._paused.labels(scope.value).set(sum(kind is scope for kind, _ in pauses))
        for lane, count in held.items():
            self._held.labels(lane).set(count)

    def rebalanced(self, assignments: int) -> None:
        """Assignments taken since the start."""
        self._rebalances.inc(assignments - self._rebalanced)
        self._rebalanced = assignments

    def behind(self, lane: LaneName, behind: Behind) -> None:
        """How far this process is behind in a lane's partitions that it owns."""
        self._lag.labels(lane).set(behind.records)
        self._oldest.labels(lane).set(behind.oldest_s)
        self._lag_s.labels(lane).set(behind.waits_s)

    def dead_letter(self, reason: Reason) -> None:
        """A record became a dead letter."""
        self._dead.labels(reason.value).inc()

    def _histogram(
        self, metric: Histogram, name: str, label: DeploymentName | LaneName
    ) -> Histogram:
        child = self._children.get((name, label))
        if child is None:
            child = self._children[name, label] = metric.labels(label)
        return child  # type: ignore[return-value]
