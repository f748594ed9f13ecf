"""The mutants of the design, in its order: what each does wrong, where it cannot hide, what it breaks."""

from dataclasses import dataclass

from faults.history.violation import Promise


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One fault of a programmer; `name` is its module."""

    name: str
    what: str
    scenario: str
    breaks: frozenset[Promise]
    """The checker must find one of these broken; others may be too."""


def _mutant(name: str, what: str, scenario: str, *breaks: Promise) -> Mutant:
    return Mutant(name=name, what=what, scenario=scenario, breaks=frozenset(breaks))


MUTANTS = (
    _mutant("commit_before_produce", "commit before produce", "slow-outcomes", Promise.P4),
    _mutant(
        "swallowed_produce_error",
        "a swallowed produce error",
        "refused-outcomes",
        Promise.P1,
        Promise.P4,
    ),
    _mutant("drop_on_rebalance", "drop on rebalance", "rebalance", Promise.P1, Promise.P4),
    _mutant("retry_without_due_check", "retry without due check", "throttled", Promise.P6),
    _mutant("reused_attempt_id", "a reused attempt id", "throttled", Promise.P3, Promise.P13),
    _mutant("dead_letter_not_awaited", "dead letter not awaited", "poison", Promise.P15),
    _mutant("limiter_fails_open", "a limiter that fails open", "burst", Promise.P5),
    _mutant("no_tenant_check", "a reply without a tenant check", "jobs", Promise.P8),
    _mutant("auto_commit_on", "auto-commit on", "rebalance", Promise.P4),
    _mutant("mixed_attempts", "attempts mixed in a stream", "broken-streams", Promise.P11),
    _mutant(
        "key_without_tenant", "idempotency keyed without tenant", "keys", Promise.P8, Promise.P2
    ),
    _mutant("crash_counter_resets", "a crash counter that resets", "killer", Promise.P1),
)
