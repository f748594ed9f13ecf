"""Metrics of tokens: what calls took, and how that differs from what was reserved for them."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter

from headrace.dispatcher.costs import Used
from headrace.schemas.limits import Units
from headrace.schemas.names import ModelName

_LABELS: Final = ("model", "type")


class TokenMetrics:
    """Of models of which tokens are limited: of others nobody reads what their answers took."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._used = Counter(
            "headrace_tokens",
            "Tokens that calls took, where tokens are limited; `*_estimated`: of streams without `usage`.",
            _LABELS,
            registry=registry,
        )
        self._reserved = Counter(
            "headrace_tokens_reserved",
            "What was reserved for those calls.",
            _LABELS,
            registry=registry,
        )
        self._beyond = Counter(
            "headrace_tokens_beyond_reserve",
            "What those calls took beyond that: all by which a window can exceed a limit (docs/tokens.md).",
            _LABELS,
            registry=registry,
        )

    def settled(self, model: ModelName, reserved: Units, used: Used, *, told: bool) -> None:
        """A call took `used`; `told` by its answer, or else guessed."""
        for kind, units, taken in (
            ("input", reserved.input, used.input),
            ("output", reserved.output, used.output),
        ):
            self._used.labels(model, kind if told else f"{kind}_estimated").inc(max(0, taken))
            self._reserved.labels(model, kind).inc(units)
            if taken > units:
                self._beyond.labels(model, kind).inc(taken - units)
