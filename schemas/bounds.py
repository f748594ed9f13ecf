"""What a request takes of limits on tokens, where that is bounded and not estimated: `reserve: hard`. No I/O.

How it works. Nothing is learned: what is reserved is not less than what can be used, so ingress and
dispatchers find the same.

The bound on input. A tokenizer that works on bytes (byte-level BPE, as of OpenAI, Llama 3, Qwen, Mistral;
SentencePiece with byte fallback) makes each token of at least one byte of the text as UTF-8, and a string
in JSON is never shorter than that. The JSON around a message, 25 bytes at least, covers the marks that a
chat template puts around it; what a template adds once to a request is within `TEMPLATE_TOKENS`. What an
upstream adds by itself (search results, a longer prompt of its own) nobody can see from here, and a
tokenizer that first expands characters (NFKC: a ligature of 3 bytes becomes 33) is not covered.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import ceil
from typing import Final

from headrace.schemas.asked import Asked, asked
from headrace.schemas.config.model import ModelConfig
from headrace.schemas.names import Endpoint

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


def bound(config: ModelConfig, endpoint: Endpoint, body: bytes) -> Cost | Unbounded:
    """What a request cannot exceed."""
    ask = asked(endpoint, body, strict=True)
    if ask is None:
        return Unbounded.FORM
    if ask.media and config.media_tokens is None:
        return Unbounded.MEDIA
    text = len(body) - ask.media_bytes
    tokens_in = text + TEMPLATE_TOKENS + ask.media * (config.media_tokens or 0)
    most = 0 if endpoint is Endpoint.EMBEDDINGS else most_output(config, ask)
    if most is None:
        return Unbounded.OUTPUT
    return Cost(tokens_in, most, firm=True, text_bytes=text, media=ask.media)


def most_output(config: ModelConfig, ask: Asked) -> int | None:
    """What all answers may have together; None: there is no bound."""
    bounds = [one for one in (ask.each, config.most_output_tokens) if one is not None]
    if not bounds:
        return None
    return ceil(min(min(bounds) * ask.answers, MOST_TOKENS))


def most_answer(
    tokens_in: int, input_cap: int | None, output_cap: int | None, total_cap: int | None
) -> int | None:
    """How many tokens may come back within these; None: any number; below 0: too many are sent."""
    if input_cap is not None and tokens_in > input_cap:
        return -1
    rooms = [cap for cap in (output_cap,) if cap is not None]
    if total_cap is not None:
        rooms.append(total_cap - tokens_in)
    return min(rooms, default=None)
