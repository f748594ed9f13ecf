"""The section about the governor."""

from typing import Literal

from pydantic import Field

from headrace.schemas.config.section import Address, Section


class GovernorConfig(Section):
    """The side that hands out what limits allow."""

    metrics_listen: Address = "0.0.0.0:9095"
    """Where metrics and health are read; port 0 takes a free one."""
    shadow: list[Literal["rests", "learned_limits", "learned_seats"]] = Field(default_factory=list)
    """Rules that only count what they would have held back, and hold nothing back."""
