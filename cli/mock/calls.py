"""Reading a call: the few fields of the body that shape the answer, with a typed decoder."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

MAX_CHOICES = 128
MAX_INPUTS = 2048


class Endpoint(StrEnum):
    """The paths that answer like a model."""

    CHAT = "/v1/chat/completions"
    COMPLETIONS = "/v1/completions"
    EMBEDDINGS = "/v1/embeddings"


class CallError(ValueError):
    """A body that OpenAI would refuse with 400; `param` names the field."""

    def __init__(self, message: str, param: str | None = None) -> None:
        """Keep the field for the error body."""
        super().__init__(message)
        self.param = param


class StreamOptions(msgspec.Struct):
    """OpenAI's `stream_options`."""

    include_usage: bool = False


class Metadata(msgspec.Struct):
    """Of `metadata`, only the script."""

    mock: str = ""


# A text, texts, token ids, or lists of token ids; msgspec wants one list type in a union.
Texts = str | list[int | str | list[int]]


class _Body(msgspec.Struct):
    model: Annotated[str, Meta(min_length=1, max_length=1024)]
    messages: msgspec.Raw = msgspec.Raw()
    prompt: Texts | None = None
    input: Texts | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Meta(ge=1, le=MAX_CHOICES)] | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    encoding_format: str | None = None
    dimensions: Annotated[int, Meta(ge=1, le=4096)] | None = None
    user: Annotated[str, Meta(max_length=4096)] | None = None
    metadata: Metadata | None = None


@dataclass(frozen=True, slots=True)
class ModelCall:
    """A call that can be answered. `digest` is SHA-256 over the body: the request's identity."""

    endpoint: Endpoint
    digest: bytes
    model: str
    stream: bool = False
    include_usage: bool = False
    choices: int = 1
    max_tokens: int | None = None
    prompt_tokens: int = 1
    inputs: tuple[bytes, ...] = ()
    base64: bool = False
    dimensions: int | None = None
    user: str = ""
    mock: str = ""
    fingerprint: str = ""
    """Of the attempt, where the script wants answers signed."""


_decoder = msgspec.json.Decoder(_Body)


def read_call(endpoint: Endpoint, raw: bytes, digest: bytes) -> ModelCall:
    """Decode a body whose SHA-256 is `digest`.

    Raises CallError for what is no JSON object or lacks what is required.
    """
    try:
        body = _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as refused:
        raise CallError(f"The body is not acceptable: {refused}") from refused
    items, choices = _inputs(endpoint, body)
    return ModelCall(
        endpoint=endpoint,
        digest=digest,
        model=body.model,
        stream=bool(body.stream) and endpoint is not Endpoint.EMBEDDINGS,
        include_usage=bool(body.stream_options and body.stream_options.include_usage),
        choices=choices,
        max_tokens=body.max_completion_tokens or body.max_tokens,
        prompt_tokens=max(1, sum(len(item) for item in items) // 4),
        inputs=items if endpoint is Endpoint.EMBEDDINGS else (),
        base64=_wants_base64(body.encoding_format),
        dimensions=body.dimensions,
        user=body.user or "",
        mock=body.metadata.mock if body.metadata else "",
    )


def _inputs(endpoint: Endpoint, body: _Body) -> tuple[tuple[bytes, ...], int]:
    """What is asked, as bytes, and how many choices that makes."""
    wanted = body.n or 1
    if endpoint is Endpoint.CHAT:
        return (_messages(body.messages),), wanted
    if endpoint is Endpoint.COMPLETIONS:
        prompts = _items(body.prompt, "prompt")
        if len(prompts) * wanted > MAX_CHOICES:
            raise CallError(f"prompts times n is above {MAX_CHOICES}", "n")
        return prompts, len(prompts) * wanted
    return _items(body.input, "input"), 1


def _messages(messages: msgspec.Raw) -> bytes:
    raw = bytes(messages)
    if not raw.startswith(b"[") or raw[1:].lstrip().startswith(b"]"):
        raise CallError("Missing required parameter: 'messages', a list.", "messages")
    return raw


def _items(given: Texts | None, param: str) -> tuple[bytes, ...]:
    """Texts or lists of token ids; a bare list of token ids is one item."""
    if given is None or given == []:
        raise CallError(f"Missing required parameter: '{param}'.", param)
    if isinstance(given, str):
        return (given.encode(),)
    if isinstance(given[0], int):
        return (msgspec.json.encode(given),)
    if len(given) > MAX_INPUTS:
        raise CallError(f"'{param}' has more than {MAX_INPUTS} items.", param)
    return tuple(
        item.encode() if isinstance(item, str) else msgspec.json.encode(item) for item in given
    )


def _wants_base64(encoding_format: str | None) -> bool:
    if encoding_format not in (None, "float", "base64"):
        raise CallError("'encoding_format' is neither float nor base64.", "encoding_format")
    return encoding_format == "base64"
