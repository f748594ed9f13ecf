"""Limits in the configuration: per minute, and calls in flight."""

from typing import Annotated

from pydantic import Field

from headrace.schemas.config.section import Name, Section

PerMinute = Annotated[int, Field(ge=1, le=10**12)]
Concurrency = Annotated[int, Field(ge=1, le=100_000)]

RATES = (
    "requests_per_minute",
    "input_tokens_per_minute",
    "output_tokens_per_minute",
    "tokens_per_minute",
)
SHARED = (*RATES, "concurrency")
"""Limits that a part cannot have higher than the whole."""


class Rates(Section):
    """What may be sent in any 60 seconds, by all dispatchers together; what is not named is not limited.

    Requests wait for their turn; one that is larger than a limit is refused.
    """

    requests_per_minute: PerMinute | None = None
    """Requests that are begun."""
    input_tokens_per_minute: PerMinute | None = None
    """Tokens that are sent: estimated from the body, then corrected by what the answer tells."""
    output_tokens_per_minute: PerMinute | None = None
    """Tokens that are reserved for answers (`models.*.reserve`), less what was not used."""
    tokens_per_minute: PerMinute | None = None
    """Both together."""
    shadow: bool = False
    """Try these limits out: what they would have held back is counted, and nothing is held back."""


class Limits(Rates):
    """What may be used at once and in any 60 seconds, by all dispatchers together."""

    concurrency: Concurrency | None = None
    """Calls in flight at any time, over all dispatchers."""


class DeploymentLimits(Limits):
    """What the upstream can take.

    All but `process_concurrency` hold for all dispatchers together and need a governor.

    """

    pool: Annotated[str, Name] | None = None
    """The pool whose limits it shares with other deployments; one of `pools`."""
    process_concurrency: Concurrency = 64
    """Calls that one dispatcher process holds at most; with more dispatchers there may be more."""
    adaptive: bool = False
    """Learn from latency how many calls it takes well, up to `concurrency`, where it never says 429."""
    adaptive_least: Concurrency = 1
    """Calls in flight that are always allowed, where the number is learned."""
    adaptive_tolerance: Annotated[float, Field(ge=1.1, le=100)] = 1.5
    """How many times the least latency the average may be before fewer calls are made."""


def any_of(limits: Limits) -> bool:
    """Whether it limits anything."""
    return any(getattr(limits, name) is not None for name in SHARED)


class PoolConfig(Section):
    """Limits that the deployments with this `limits.pool` share."""

    limits: Limits = Limits()
    """What all of them may be sent together."""
