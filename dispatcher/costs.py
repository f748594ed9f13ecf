"""What requests will take of limits on tokens: estimates that answers correct. No I/O."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Final, NamedTuple

import msgspec

from headrace.dispatcher.quantile import Quantile
from headrace.schemas.config.model import ModelConfig
from headrace.schemas.names import Endpoint, ModelName, Tenant

FIRST_BYTES_PER_TOKEN: Final = 3.0
"""Before any answer has told: few texts have less."""
MEMORY: Final = 50.0
"""How many of the last answers the ratio is of, about."""
FIRST_OUTPUT: Final = 1_024
"""What an answer of a tenant is taken to need before any has come."""
LEAST_OUTPUT: Final = 256
"""Where the estimate begins at least, whatever the first answer needed."""
SHARE: Final = 0.95
STEP: Final = 1.2
"""An estimate doubles within four longer answers, and halves within eighty shorter ones."""
MOST_TENANTS: Final = 4_096
"""Pairs of model and tenant that are remembered; the one unused for longest is forgotten."""
MOST_TOKENS: Final = 10**12
"""What a request may ask for, as far as it counts here."""

Number = int | float | None


@dataclass(frozen=True, slots=True)
class Cost:
    """What a request will probably take."""

    input: int
    output: int
    firm: bool
    """Whether all of `output` must be reserved; an expectation may be cut to what a limit allows."""


class Used(NamedTuple):
    """Tokens that a call took, as its answer told."""

    input: int
    output: int


class _Asked(msgspec.Struct):
    max_tokens: Number = None
    max_completion_tokens: Number = None
    n: Number = None


_asked = msgspec.json.Decoder(_Asked)
_NOTHING = _Asked()


class Costs:
    """What one process knows of its models' answers."""

    def __init__(self, models: Mapping[ModelName, ModelConfig]) -> None:
        """`models` need not name all: the others reserve what is usual."""
        self._hard = frozenset(name for name, one in models.items() if one.reserve == "hard")
        self._ratios: dict[ModelName, tuple[float, float]] = {}
        self._outputs: OrderedDict[tuple[ModelName, Tenant], Quantile] = OrderedDict()

    def estimate(self, model: ModelName, tenant: Tenant, endpoint: Endpoint, body: bytes) -> Cost:
        """What a request with `body` will take."""
        tokens_in = ceil(len(body) / self.bytes_per_token(model))
        if endpoint is Endpoint.EMBEDDINGS:
            return Cost(tokens_in, 0, firm=True)
        most = _most_output(body)
        if most is not None and model in self._hard:
            return Cost(tokens_in, most, firm=True)
        known = self._outputs.get((model, tenant))
        usual = FIRST_OUTPUT if known is None else ceil(known.value)
        return Cost(tokens_in, usual if most is None else min(usual, most), firm=False)

    def used(self, model: ModelName, tenant: Tenant, sent_bytes: int, used: Used) -> None:
        """An answer told what it took."""
        if used.input > 0:
            size, tokens = self._ratios.get(model, (0.0, 0.0))
            kept = 1 - 1 / MEMORY
            self._ratios[model] = (size * kept + sent_bytes, tokens * kept + used.input)
        known = self._outputs.get((model, tenant))
        if known is None:
            self._outputs[model, tenant] = Quantile(SHARE, max(used.output, LEAST_OUTPUT), STEP)
            if len(self._outputs) > MOST_TENANTS:
                self._outputs.popitem(last=False)
        else:
            known.saw(used.output)
            self._outputs.move_to_end((model, tenant))

    def bytes_per_token(self, model: ModelName) -> float:
        """Bytes of a request's body for each token that it is."""
        size, tokens = self._ratios.get(model, (0.0, 0.0))
        return size / tokens if tokens else FIRST_BYTES_PER_TOKEN


def _most_output(body: bytes) -> int | None:
    """What all answers to `body` may have together; None: it does not say."""
    try:
        asked = _asked.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        asked = _NOTHING  # the upstream says what is wrong with it
    each = asked.max_completion_tokens if asked.max_tokens is None else asked.max_tokens
    if each is None:
        return None
    return round(min(max(each, 0) * max(asked.n or 1, 1), MOST_TOKENS))
