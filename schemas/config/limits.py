"""Limits in the configuration: per minute, and calls in flight."""

from typing import Annotated

from pydantic import Field

from headrace.schemas.config.section import Section

PerMinute = Annotated[int, Field(ge=1, le=10**12)]

RATES = (
    "requests_per_minute",
    "input_tokens_per_minute",
    "output_tokens_per_minute",
    "tokens_per_minute",
)


class Rates(Section):
    """What may be sent in any 60 seconds; what is not named is not limited.

    So far no running dispatcher keeps them: `headrace limits simulate` shows what they would do.
    """

    requests_per_minute: PerMinute | None = None
    """Requests that are begun."""
    input_tokens_per_minute: PerMinute | None = None
    """Tokens that are sent."""
    output_tokens_per_minute: PerMinute | None = None
    """Tokens that are reserved for answers."""
    tokens_per_minute: PerMinute | None = None
    """Both together."""


class DeploymentLimits(Rates):
    """What the upstream can take.

    Of these a running dispatcher keeps `concurrency` alone; the others are read by `headrace limits
    simulate`.

    """

    concurrency: Annotated[int, Field(ge=1, le=100_000)] = 64
    """Calls in flight, per dispatcher process."""


class PoolConfig(Section):
    """Limits that the deployments with this `pool` share."""

    limits: Rates = Rates()
    """What all of them may be sent together."""
