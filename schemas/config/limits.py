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


class DeploymentLimits(Rates):
    """What the upstream can take.

    Limits by the minute hold for all dispatchers together and need a governor; `concurrency` holds for
    each process.

    """

    concurrency: Annotated[int, Field(ge=1, le=100_000)] = 64
    """Calls in flight, per dispatcher process."""


class PoolConfig(Section):
    """Limits that the deployments with this `pool` share."""

    limits: Rates = Rates()
    """What all of them may be sent together."""
