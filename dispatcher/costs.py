"""What requests will take of limits on tokens: estimates that answers correct, or bounds. No I/O.

How it works. With `reserve: estimate` input is the body's bytes by those that a token of the model had so
far, plus what an image or file of the model took so far, and output what 95 % of the tenant's answers
needed. With `reserve: hard` nothing is learned: what is reserved is not less than what can be used.

The bound on input. A tokenizer that works on bytes (byte-level BPE, as of OpenAI, Llama 3, Qwen, Mistral;
SentencePiece with byte fallback) makes each token of at least one byte of the text as UTF-8, and a string
in JSON is never shorter than that. The JSON around a message, 25 bytes at least, covers the marks that a
chat template puts around it; what a template adds once to a request is within `TEMPLATE_TOKENS`. What an
upstream adds by itself (search results, a longer prompt of its own) nobody can see from here, and a
tokenizer that first expands characters (NFKC: a ligature of 3 bytes becomes 33) is not covered.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import ceil
from typing import Final, NamedTuple

from headrace.dispatcher.asked import NOTHING, Asked, asked
from headrace.dispatcher.quantile import Quantile
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
MOST_TOKENS: Final = 10**12
"""What a request may ask for, as far as it counts here."""
TEMPLATE_TOKENS: Final = 256
"""A default system prompt and the preface to tools; about 130 in the longest common template."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a request will probably take, or with `reserve: hard` can take."""

    input: int
    output: int
    firm: bool
    """Whether all of `output` must be reserved; an expectation may be cut to what a limit allows."""
    text_bytes: int = 0
    """Of the body, without its media."""
    media: int = 0
    """Images, sounds and files."""


class Unbounded(StrEnum):
    """Why a request has no bound that could be reserved."""

    OUTPUT = "it states no max_tokens, and models.*.most_output_tokens is not configured"
    MEDIA = "it has images, sounds or files, and models.*.media_tokens is not configured"
    FORM = "its body is not formed so that its tokens could be bounded"


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
            return _bound(config, endpoint, body)
        ask = asked(endpoint, body, strict=False) or NOTHING
        text = len(body) - ask.media_bytes
        tokens_in = ceil(
            text / self.bytes_per_token(model) + ask.media * self._each_media(model, config)
        )
        if endpoint is Endpoint.EMBEDDINGS:
            return Cost(tokens_in, 0, firm=True, text_bytes=text, media=ask.media)
        most = _most_output(config, ask)
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


def _bound(config: ModelConfig, endpoint: Endpoint, body: bytes) -> Cost | Unbounded:
    """What a request cannot exceed."""
    ask = asked(endpoint, body, strict=True)
    if ask is None:
        return Unbounded.FORM
    if ask.media and config.media_tokens is None:
        return Unbounded.MEDIA
    text = len(body) - ask.media_bytes
    tokens_in = text + TEMPLATE_TOKENS + ask.media * (config.media_tokens or 0)
    most = 0 if endpoint is Endpoint.EMBEDDINGS else _most_output(config, ask)
    if most is None:
        return Unbounded.OUTPUT
    return Cost(tokens_in, most, firm=True, text_bytes=text, media=ask.media)


def _most_output(config: ModelConfig, ask: Asked) -> int | None:
    """What all answers may have together; None: there is no bound."""
    bounds = [one for one in (ask.each, config.most_output_tokens) if one is not None]
    if not bounds:
        return None
    return ceil(min(min(bounds) * ask.answers, MOST_TOKENS))


def _of(ratios: _Ratios, model: ModelName) -> _Ratio:
    return ratios.setdefault(model, _Ratio())
