"""The section about breakers."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from headrace.schemas.config.section import Seconds, Section, conflict


class BreakerConfig(Section):
    """When a failing deployment is left alone by all dispatchers, and how it comes back."""

    mode: Literal["enforce", "metrics-only", "disabled"] = "enforce"
    """`metrics-only` counts what would have been refused and refuses nothing; `disabled` looks at nothing."""
    failing_share: Annotated[float, Field(gt=0.2, le=1)] = 0.5
    """Share of failed calls at which it opens, of those that were begun within 5 s and are not too few
    for it to be chance."""
    open_s: Seconds = 15
    """How long it stays open, 20 % more or less; each further trip in a row doubles it."""
    longest_open_s: Seconds = 300
    """The most that this grows to."""
    probes: Annotated[int, Field(ge=1, le=100)] = 3
    """Calls by which all dispatchers together try whether it works again."""
    probe_s: Seconds = 60
    """How long such a call may take; longer than the longest usual answer that is no stream."""
    ramp_step_s: Seconds = 5
    """How long each step of the way back takes: 10, 25, 50 and 100 % of the calls."""

    @model_validator(mode="after")
    def _opens_no_longer_than_the_longest(self) -> Self:
        if self.open_s > self.longest_open_s:
            raise conflict("longest_open_s", "is below open_s")
        return self
