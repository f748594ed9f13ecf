"""The governor's metrics, by the names of docs/reference/metrics.md. No ids as labels."""

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge

from headrace.dispatcher.governing.restraints import RestraintMetrics
from headrace.dispatcher.governor.owner import Owner
from headrace.schemas.breakers import Transition
from headrace.schemas.limits import Beat, Claim, Command, End, Grants, Learned

MOST_LIMITS = 500
"""Scopes that are shown, the upstreams' own first: a configuration may have a limit for each tenant."""
_KINDS: dict[type, str] = {
    Claim: "epoch",
    Beat: "beat",
    Grants: "grants",
    End: "end",
    Learned: "learned",
}


class Metrics:
    """Counters and gauges of one process. What only an owner knows is 0 or absent in a standby."""

    def __init__(self, registry: CollectorRegistry, reports: str) -> None:
        """`reports`: the topic that they are read from."""
        self._topic = reports

        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(f"headrace_governor_{name}", what, labels, registry=registry)

        def gauge(name: str, what: str) -> Gauge:
            return Gauge(f"headrace_governor_{name}", what, registry=registry)

        self._load = Gauge(
            "headrace_limit_utilization_ratio",
            "What counts against a limit now, of the fullest of its kinds; credits in hand included.",
            ["limit"],
            registry=registry,
        )
        self._seats = Gauge(
            "headrace_limit_seats",
            "Calls at a time that a limit allows now; to those without a reserve, with what is lent to them.",
            ["limit"],
            registry=registry,
        )
        self._owns = gauge("owner", "1 in the process that hands out credits.")
        self._recovery = Gauge(
            "headrace_state_recovery_seconds",
            "How long it took to learn from the log what earlier owners did, at the last takeover.",
            registry=registry,
        )
        self._epoch = gauge("epoch", "The owner's number, as this process has read it.")
        self._sessions = gauge("sessions", "Dispatchers that the owner hears of.")
        self._takeovers = counter("takeovers", "Times this process became the owner.")
        self._resigned = counter(
            "resignations", "Times it ended, since another had taken over.", "reason"
        )
        self._records = counter("records", "Records decided on for the grants, by kind.", "kind")
        self._of_reports(counter)
        self._skipped = counter(
            "skipped_ticks", "Ticks left out, since Kafka had not acknowledged the last one."
        )
        self._failed = counter("failed_appends", "Ticks whose records Kafka did not acknowledge.")
        self._known: dict[str, int] = {}
        """What was counted of the owner's own counts."""
        self._restraints = RestraintMetrics(registry)
        self._breakers = Counter(
            "headrace_breaker_transitions",
            "Changes of a breaker's state, by the state it came to and why.",
            ["deployment", "state", "reason"],
            registry=registry,
        )

    def _of_reports(self, counter: Callable[..., Counter]) -> None:
        self._reports = counter("reports", "Reports heard as the owner.")
        self._unreadable = counter(
            "unreadable_records", "Records passed over: damaged, or of another version.", "topic"
        )
        self._implausible = counter(
            "implausible_reports", "Reports that name an owner that there cannot have been yet."
        )
        self._stale = counter(
            "stale_reports",
            "Reports that came again (`repeated`) or behind newer ones (`reordered`): ignored.",
            "reason",
        )
        self._strangers = counter(
            "strangers", "Dispatchers with credits that the log does not tell of; they got none."
        )

    def moved(self, transition: Transition) -> None:
        """A breaker has changed its state."""
        after, why = transition.after.value, transition.why.value
        self._breakers.labels(transition.deployment, after, why).inc()

    def follows(self, epoch: int) -> None:
        """The newest owner that was read of."""
        self._epoch.set(epoch)

    def took_over(self, after_s: float) -> None:
        """This process is the owner, and took so long to learn what its predecessors did."""
        self._recovery.set(after_s)
        self._known.clear()
        self._takeovers.inc()
        self._owns.set(1)

    def resigned(self, reason: str) -> None:
        """It is not the owner any more, or did not become it."""
        self._resigned.labels(reason).inc()
        self._owns.set(0)
        self._sessions.set(0)
        self._load.clear()
        self._seats.clear()
        self._restraints.clear()

    def decided(self, commands: Sequence[Command]) -> None:
        """Records are to be appended."""
        for command in commands:
            self._records.labels(_KINDS[type(command)]).inc()

    def heard(self) -> None:
        """A report came."""
        self._reports.inc()

    def unreadable(self, topic: str) -> None:
        """A record was passed over."""
        self._unreadable.labels(topic).inc()

    def implausible(self) -> None:
        """A report knows of an owner that is not believed."""
        self._implausible.inc()

    def skipped(self) -> None:
        """A tick was left out."""
        self._skipped.inc()

    def failed(self) -> None:
        """Records were not acknowledged."""
        self._failed.inc()

    def observe(self, owner: Owner) -> None:
        """What the owner knows now."""
        self._strangers.inc(self._more("strangers", owner.strangers))
        for reason, count in (("repeated", owner.repeated), ("reordered", owner.reordered)):
            self._stale.labels(reason).inc(self._more(reason, count))
        damaged = self._more("unreadable", owner.restraints.unreadable)
        self._unreadable.labels(self._topic).inc(damaged)
        living = (session for session in owner.sessions.values() if session.over_ms is None)
        self._sessions.set(sum(1 for _ in living))
        for node in owner.ledger.nodes[:MOST_LIMITS]:
            self._load.labels(node.scope.name).set(node.load())
            if node.caps.seats is not None:
                self._seats.labels(node.scope.name).set(node.seats)
        self._restraints.observe(owner.restraints, owner.ledger.now_ms)

    def _more(self, name: str, count: int) -> int:
        before = self._known.get(name, 0)
        self._known[name] = count
        return count - before
