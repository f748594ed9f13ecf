"""The sections about tenants and their API keys."""

from typing import Annotated, ClassVar, Self

from pydantic import Field, GetJsonSchemaHandler, StringConstraints, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from headrace.schemas.config.limits import Limits, any_of
from headrace.schemas.config.section import DIGEST, TENANT_KEY, Section, Share, conflict
from headrace.schemas.names import KeyName, LaneName


class KeyConfig(Section):
    """An API key. Its digest may stand alone, in place of the whole section."""

    brief: ClassVar[str] = "digest"

    digest: Annotated[str, Field(pattern=DIGEST)]
    """HMAC-SHA-256 of the key, in hex; `headrace keys create` prints it."""
    name: Annotated[KeyName, StringConstraints(pattern=TENANT_KEY)] | None = None
    """What its limits are called by, as `key <tenant>/<name>`; needed where it has some."""
    limits: Limits = Limits()
    """What may be used with this key, within what the tenant may use."""

    @model_validator(mode="after")
    def _limits_have_a_name(self) -> Self:
        if self.name is None and any_of(self.limits):
            raise conflict("limits", "a key with limits needs a name")
        return self


class _OrDigest:
    """Tells editors of the short form."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string", "pattern": DIGEST}, handler(schema)]}


class TenantConfig(Section):
    """What a tenant may use; patterns are shell globs."""

    models: list[str] = Field(default_factory=lambda: ["*"])
    """Model names or patterns it may use."""
    lanes: list[LaneName] | None = None
    """Lanes it may use; default all."""
    keys: list[Annotated[KeyConfig, _OrDigest()]] = Field(default_factory=list)
    """The tenant's API keys, each by its digest alone or with a name and limits of its own."""
    inbox: bool = False
    """Whether it has a topic `inbox.<tenant>`, where it may write requests without a right on lanes."""
    weight: Annotated[float, Field(gt=0, le=1000)] = 1
    """Its share among tenants that ask for more than a limit allows."""
    reserve: Share = 0
    """Share of every limit of deployments, pools and models that others leave to this one: `0.1` or `10%`."""
    limits: Limits = Limits()
    """What it may use of all deployments together; then all of them are called by a governor's leave."""

    @property
    def limited_keys(self) -> dict[KeyName, KeyConfig]:
        """Keys that have limits of their own, by name."""
        return {one.name: one for one in self.keys if one.name is not None and any_of(one.limits)}
