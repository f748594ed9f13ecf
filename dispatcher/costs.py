"""What requests will take of limits on tokens: estimates that answers correct, or bounds. No I/O.

How it works. With `reserve: estimate` input is the body's bytes by those that a token of the model had so
far, plus what an image or file of the model took so far, and output what 95 % of the tenant's answers
needed. With `reserve: hard` nothing is learned (`schemas/bounds.py`).
"""

from collections import OrderedDict
from collections.abc import Mapping
from math import ceil
from typing import Final, NamedTuple

from headrace.dispatcher.quantile import Quantile
from headrace.schemas.asked import NOTHING, asked
from headrace.schemas.bounds import Cost, Unbounded, bound, most_output
from headrace.schemas.config.model import ModelConfig
from headrace.schemas.limits import Units
from headrace.schemas.names import Endpoint, ModelName, Tenant

FIRST_BYTES_PER_TOKEN: Final = 3.0
"""Before any answer has told: few texts have less."""
FIRST_MEDIA: Final = 1_500
"""What an image or file is taken to need before any answer has told: about a large image."""
MEMORY: Final = 50.0
"""How many of the last answers a ratio is of, about."""
FIRST_OUTPUT: Final = 1_024
"""What an answer of a tenant is taken to need before any has come."""
LEAST_OUTPUT: Final = 256
"""Where the estimate begins at least, whatever the first answer needed."""
SHARE: Final = 0.95
STEP: Final = 1.2
"""An estimate doubles within four longer answers, and halves within eighty shorter ones."""
MOST_TENANTS: Final = 4_096
"""Pairs of model and tenant that are remembered; the one unused for longest is forgotten."""


class Used(NamedTuple):
    """Tokens that a call took, as its answer told."""

    input: int
    output: int


class Text(NamedTuple):
    """What was seen of a stream's text."""

    pieces: int = 0
    """In events; most upstreams send one for each token."""
    size: int = 0
    """Bytes, as it stands in JSON."""


class _Ratio:
    """Of what was seen lately."""

    __slots__ = ("_above", "_below")

    def __init__(self) -> None:
        self._above = self._below = 0.0

    def saw(self, above: float, below: float) -> None:
        kept = 1 - 1 / MEMORY
        self._above = self._above * kept + above
        self._below = self._below * kept + below

    def value(self, first: float) -> float:
        return self._above / self._below if self._below else first


_NONE: Final = _Ratio()
_Ratios = dict[ModelName, _Ratio]


class Costs:
    """What one process knows of its models' answers."""

    def __init__(self, models: Mapping[ModelName, ModelConfig]) -> None:
        """`models` need not name all: the others have the default settings."""
        self._models = models
        self._default = ModelConfig()
        self._inputs: _Ratios = {}
        self._media: _Ratios = {}
        self._answers: _Ratios = {}
        self._outputs: OrderedDict[tuple[ModelName, Tenant], Quantile] = OrderedDict()

    def estimate(
        self, model: ModelName, tenant: Tenant, endpoint: Endpoint, body: bytes
    ) -> Cost | Unbounded:
        """What a request with `body` will take; `Unbounded` only where the reserve is hard."""
        config = self._models.get(model, self._default)
        if config.reserve == "hard":
            return bound(config, endpoint, body)
        return self.expected(model, tenant, endpoint, body)

    def expected(self, model: ModelName, tenant: Tenant, endpoint: Endpoint, body: bytes) -> Cost:
        """What a request with `body` will probably take, whatever the reserve."""
        config = self._models.get(model, self._default)
        ask = asked(endpoint, body, strict=False) or NOTHING
        text = len(body) - ask.media_bytes
        tokens_in = ceil(
            text / self.bytes_per_token(model) + ask.media * self._each_media(model, config)
        )
        if endpoint is Endpoint.EMBEDDINGS:
            return Cost(tokens_in, 0, firm=True, text_bytes=text, media=ask.media)
        most = most_output(config, ask)
        known = self._outputs.get((model, tenant))
        needed = FIRST_OUTPUT if known is None else ceil(known.value)
        output = needed if most is None else min(needed, most)
        return Cost(tokens_in, output, firm=False, text_bytes=text, media=ask.media)

    def used(
        self, model: ModelName, tenant: Tenant, cost: Cost, used: Used, text_bytes: int = 0
    ) -> None:
        """A whole answer told what it took; of a stream also `text_bytes`, of its text as JSON."""
        if used.input > 0 and cost.media:
            text = cost.text_bytes / self.bytes_per_token(model)
            _of(self._media, model).saw(max(0.0, used.input - text), cost.media)
        elif used.input > 0:
            _of(self._inputs, model).saw(cost.text_bytes, used.input)
        if text_bytes and used.output > 0:
            _of(self._answers, model).saw(text_bytes, used.output)
        self._needed(model, tenant, used.output)

    def guess(
        self, model: ModelName, tenant: Tenant, reserved: Units, text: Text, *, whole: bool
    ) -> Used | None:
        """What a stream took that did not tell it; None: what was reserved counts.

        By the size of its text, and a token at least for each piece of it. One that broke may have
        gone on where nobody saw it: it counts as reserved, or as what was seen if that is more. Nor is a
        bound ever lowered to a guess.
        """
        if not text.pieces or self._models.get(model, self._default).reserve == "hard":
            return None
        each = self._answers.get(model, _NONE).value(FIRST_BYTES_PER_TOKEN)
        output = max(text.pieces, ceil(text.size / each))
        if whole:
            self._needed(model, tenant, output)
        return Used(reserved.input, output if whole else max(output, reserved.output))

    def bytes_per_token(self, model: ModelName) -> float:
        """Bytes of a request's body for each token that it is, without media."""
        return self._inputs.get(model, _NONE).value(FIRST_BYTES_PER_TOKEN)

    def _each_media(self, model: ModelName, config: ModelConfig) -> float:
        return self._media.get(model, _NONE).value(config.media_tokens or FIRST_MEDIA)

    def _needed(self, model: ModelName, tenant: Tenant, output: int) -> None:
        known = self._outputs.get((model, tenant))
        if known is None:
            self._outputs[model, tenant] = Quantile(SHARE, max(output, LEAST_OUTPUT), STEP)
            if len(self._outputs) > MOST_TENANTS:
                self._outputs.popitem(last=False)
        else:
            known.saw(output)
            self._outputs.move_to_end((model, tenant))


def _of(ratios: _Ratios, model: ModelName) -> _Ratio:
    return ratios.setdefault(model, _Ratio())
