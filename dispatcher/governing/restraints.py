"""What people see of rests and learned limits: a line in the log for each change, and metrics."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge

from headrace.dispatcher.governor.restraints import News, Rested, Restraints
from headrace.telemetry.logs import Log


def tell(news: Iterable[News], log: Log) -> bool:
    """One line each; False if there are none."""
    told = False
    for one in news:
        told = True
        if isinstance(one, Rested):
            log.info(
                "upstream_rests", deployment=one.deployment, due_ms=one.until_ms, count=one.times
            )
        else:
            scope, dimension = one.place
            event = "limit_cut" if one.cut else "limit_regrown"
            log.info(event, limit=scope, reason=dimension.value, count=one.limit)
    return told


class RestraintMetrics:
    """Of one governor process; what only an owner knows is absent in a standby."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._learned = Gauge(
            "headrace_learned_limit",
            "A limit as upstreams showed it to be: by refusals, headers, or the latency of calls (seats).",
            ["limit", "dimension"],
            registry=registry,
        )
        self._until = Gauge(
            "headrace_cooldown_until_seconds",
            "When a deployment's last rest ends or ended, in epoch seconds.",
            ["deployment"],
            registry=registry,
        )
        self._refusals = Counter(
            "headrace_upstream_refusals",
            "Calls that upstreams turned away, as dispatchers have told the owner.",
            ["deployment", "reason"],
            registry=registry,
        )
        self._shadow = Counter(
            "headrace_shadow_refusals",
            "Requests that rules in shadow mode would have held back, by rule.",
            ["rule"],
            registry=registry,
        )
        self._known: dict[tuple[str, str], int] = {}
        self._shadowed: dict[str, int] = {}

    def clear(self) -> None:
        """Another process is the owner."""
        self._learned.clear()
        self._until.clear()
        self._known.clear()
        self._shadowed.clear()

    def observe(self, restraints: Restraints, now_ms: int) -> None:
        """What the owner knows now."""
        self._learned.clear()
        for place, limit in restraints.now(now_ms).items():
            self._learned.labels(place.scope, place.dimension.value).set(limit)
        self._until.clear()
        for deployment, until_ms in restraints.rests.until_ms().items():
            self._until.labels(deployment).set(until_ms / 1000)
        for reason, counts in (
            ("limit", restraints.limited),
            ("overload", restraints.overloaded),
        ):
            for deployment, count in counts.items():
                more = count - self._known.get((deployment, reason), 0)
                if more > 0:
                    self._known[deployment, reason] = count
                    self._refusals.labels(deployment, reason).inc(more)
        for rule, count in restraints.shadow.would_refuse.items():
            self._shadow.labels(rule).inc(count - self._shadowed.get(rule, 0))
            self._shadowed[rule] = count
