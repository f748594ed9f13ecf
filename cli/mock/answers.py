"""Plain answers, built from the digest of the body: the same request gets the same bytes.

Nothing here comes from a clock or a counter; `created` is derived from the digest too.
"""

from dataclasses import dataclass
from typing import Final

import orjson

from headrace.cli.mock.calls import CallError, Endpoint, ModelCall
from headrace.cli.mock.script import MAX_TOKENS

CREATED_FROM: Final = 1_700_000_000

# Non-ASCII letters, quotes, a backslash and a line end are in the list so that a proxy which
# rebuilds the JSON instead of passing the bytes on is found out.
VOCABULARY: Final = (
    "water", "wheel", "mill", "stone", "grain", "flour", "sluice", "gate",
    "channel", "pond", "Mühle", "river", "race", "水", "flow", "head",
    "drop", "paddle", "gear", '"shaft"', "bread", "weir", "stream", "naïve",
    "pressure", "a\\b", "wood", "iron", "steady\n", "power", "🌊", "turn",
)  # fmt: skip
PERIOD: Final = 32


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says: `tokens` words in each of `choices` texts."""

    endpoint: Endpoint
    digest: bytes
    model: str
    choices: int
    tokens: int
    finish_reason: str
    prompt_tokens: int
    include_usage: bool
    fingerprint: str = ""

    @property
    def id(self) -> str:
        """`chatcmpl-` or `cmpl-` and the first 24 hex digits of the body's SHA-256."""
        prefix = "chatcmpl-" if self.endpoint is Endpoint.CHAT else "cmpl-"
        return prefix + self.digest.hex()[:24]

    @property
    def created(self) -> int:
        """Epoch seconds, a function of the digest."""
        return CREATED_FROM + int.from_bytes(self.digest[:3])

    @property
    def signature(self) -> dict[str, str]:
        """OpenAI's `system_fingerprint`, where answers are signed."""
        return {"system_fingerprint": self.fingerprint} if self.fingerprint else {}

    @property
    def usage(self) -> dict[str, int]:
        """OpenAI's usage object."""
        completion = self.tokens * self.choices
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": self.prompt_tokens + completion,
        }

    def words(self, choice: int) -> list[str]:
        """The words of `choice` that repeat for ever, each with its leading space."""
        digest = self.digest
        return [" " + VOCABULARY[digest[(i + 5 * choice) % PERIOD] % 32] for i in range(PERIOD)]


def compose_answer(call: ModelCall, tokens: int) -> Answer:
    """How many tokens `call` gets of the scripted `tokens`. Raises CallError above MAX_TOKENS."""
    granted = tokens if call.max_tokens is None else min(tokens, call.max_tokens)
    if granted * call.choices > MAX_TOKENS:
        raise CallError(f"tokens times choices is above {MAX_TOKENS}", "n")
    return Answer(
        endpoint=call.endpoint,
        digest=call.digest,
        model=call.model,
        choices=call.choices,
        tokens=granted,
        finish_reason="length" if granted < tokens else "stop",
        prompt_tokens=call.prompt_tokens,
        include_usage=call.include_usage,
        fingerprint=call.fingerprint,
    )


def tokens_of(call: ModelCall, tokens: int) -> int:
    """What `call` counts for in a limit on tokens, of the scripted `tokens` of an answer."""
    if call.endpoint is Endpoint.EMBEDDINGS:
        return call.prompt_tokens
    granted = tokens if call.max_tokens is None else min(tokens, call.max_tokens)
    return call.prompt_tokens + granted * call.choices


def full_text(words: list[str], tokens: int) -> str:
    """`tokens` words, without the space before the first."""
    whole, rest = divmod(tokens, PERIOD)
    return ("".join(words) * whole + "".join(words[:rest]))[1:]


def plain_body(answer: Answer) -> bytes:
    """The whole JSON object of a chat or text completion."""
    chat = answer.endpoint is Endpoint.CHAT
    return orjson.dumps(
        {
            "id": answer.id,
            "object": "chat.completion" if chat else "text_completion",
            "created": answer.created,
            "model": answer.model,
            "choices": [_choice(answer, index, chat) for index in range(answer.choices)],
            "usage": answer.usage,
            **answer.signature,
        }
    )


def _choice(answer: Answer, index: int, chat: bool) -> dict[str, object]:
    text = full_text(answer.words(index), answer.tokens)
    spoken: dict[str, object] = (
        {"message": {"role": "assistant", "content": text, "refusal": None}}
        if chat
        else {"text": text}
    )
    return {
        "index": index,
        **spoken,
        "logprobs": None,
        "finish_reason": answer.finish_reason,
    }


def models_body(names: list[str]) -> bytes:
    """`GET /v1/models`."""
    return orjson.dumps({"object": "list", "data": [_model(name) for name in names]})


def model_body(name: str) -> bytes:
    """`GET /v1/models/{name}`: any name is a model here."""
    return orjson.dumps(_model(name))


def _model(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": CREATED_FROM, "owned_by": "headrace-mock"}
