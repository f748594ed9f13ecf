"""What every section of the configuration shares: its base class and the types of its values."""

import re
from typing import Annotated, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from headrace.schemas.config.address import with_a_port
from headrace.schemas.names import LaneName, Tenant

ADDRESS = r"^([^\s:/]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$"
BASE_URL = r"^https?://[^\s]+$"
DIGEST = r"^[0-9a-f]{64}$"
LANE_KEY = r"^[a-z0-9][a-z0-9_-]{0,39}$"
PERCENTAGE = r"^[0-9]+(\.[0-9]+)?%$"
PREFIX = r"^[A-Za-z0-9._-]{0,100}$"
TENANT_KEY = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"

Seconds = Annotated[float, Field(gt=0, le=31 * 86400)]
Count = Annotated[int, Field(ge=1, le=10_000_000)]
Bytes = Annotated[int, Field(ge=1024, le=2**40)]
Address = Annotated[str, Field(pattern=ADDRESS), AfterValidator(with_a_port)]
"""`host:port`; an IPv6 address in brackets."""
LaneKey = Annotated[LaneName, StringConstraints(pattern=LANE_KEY)]
"""Part of topic names. No dot: `journal.x.1s` is the journal of a delay tier."""
TenantKey = Annotated[Tenant, StringConstraints(pattern=TENANT_KEY)]
"""Part of API keys and of topic names."""
Name = StringConstraints(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]*$")
"""What names of models and deployments must be, as they go into headers."""


def fraction(said: object) -> object:
    """What `10%` is as a number; anything else stays what it is."""
    if isinstance(said, str) and re.fullmatch(PERCENTAGE, said):
        return float(said[:-1]) / 100
    return said


MOST_RESERVED = 0.9
_RESERVED = {"type": "number", "minimum": 0, "maximum": MOST_RESERVED}
Share = Annotated[
    float,
    Field(ge=0, le=MOST_RESERVED),
    BeforeValidator(fraction),
    WithJsonSchema({"anyOf": [_RESERVED, {"type": "string", "pattern": PERCENTAGE}]}),
]
"""A part of a whole that leaves the others some: a number, or a percentage."""


class Section(BaseModel):
    """Base of every section: frozen, and an unknown key is an error."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )

    brief: ClassVar[str] = ""
    """The key that a single text stands for, where that may be written instead of the section."""

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: object) -> object:
        """A section's name with nothing below it, as in YAML with all keys commented out; or one text."""
        if cls.brief and isinstance(value, str):
            return {cls.brief: value}
        return {} if value is None else value


def conflict(at: str, message: str) -> PydanticCustomError:
    """Two values that do not go together; `at` names the one to point at."""
    return PydanticCustomError("conflict", "{message}", {"message": message, "at": at})
