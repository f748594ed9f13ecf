"""What becomes of a call that may or may not have reached the upstream when its process died."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from headrace.schemas.names import Ambiguous, ModelName
from headrace.schemas.records import RequestRecord


@dataclass(frozen=True, slots=True)
class AmbiguousPolicy:
    """A request's own wish, or else its model's."""

    models: Mapping[ModelName, Ambiguous] = field(default_factory=dict)

    def of(self, record: RequestRecord, model: ModelName) -> Ambiguous:
        """The policy for one request."""
        return record.ambiguous or self.models.get(model, Ambiguous.RETRY)
