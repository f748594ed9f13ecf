"""Streamed answers: server-sent events, made lazily, each with the time at which it is due."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import orjson

from headrace.cli.mock.answers import PERIOD, Answer
from headrace.cli.mock.calls import Endpoint

DONE: Final = b"data: [DONE]\n\n"
_HERE: Final = "\x00here\x00"


class Frame(NamedTuple):
    """Bytes to send when `at_token` token gaps have passed since the first token."""

    at_token: int
    payload: bytes


def event(value: object) -> bytes:
    """One SSE event with a JSON object."""
    return b"data: " + orjson.dumps(value) + b"\n\n"


def stream_frames(answer: Answer) -> Iterator[Frame]:
    """The events of `answer`: roles (chat), one per token and choice, ends, usage, [DONE]."""
    last = max(0, answer.tokens - 1)
    if answer.endpoint is Endpoint.CHAT:
        for choice in range(answer.choices):
            delta = {"role": "assistant", "content": "", "refusal": None}
            yield Frame(0, event(_chunk(answer, choice, {"delta": delta}, None)))
    yield from _token_frames(answer)
    for choice in range(answer.choices):
        end: dict[str, object] = {"delta": {}} if answer.endpoint is Endpoint.CHAT else {"text": ""}
        yield Frame(last, event(_chunk(answer, choice, end, answer.finish_reason)))
    if answer.include_usage:
        yield Frame(last, event({**_head(answer), "choices": [], "usage": answer.usage}))
    yield Frame(last, DONE)


def _token_frames(answer: Answer) -> Iterator[Frame]:
    """Each distinct event is encoded once: the text repeats after PERIOD words."""
    choices = range(answer.choices)
    events = [_token_events(answer, choice) for choice in choices]
    firsts = [_around(answer, choice, answer.words(choice)[0][1:]) for choice in choices]
    for token in range(answer.tokens):
        for choice in choices:
            yield Frame(token, events[choice][token % PERIOD] if token else firsts[choice])


def _token_events(answer: Answer, choice: int) -> list[bytes]:
    template = _around(answer, choice, _HERE)
    before, after = template.split(orjson.dumps(_HERE))
    return [before + orjson.dumps(word) + after for word in answer.words(choice)]


def _around(answer: Answer, choice: int, word: str) -> bytes:
    spoken: dict[str, object] = (
        {"delta": {"content": word}} if answer.endpoint is Endpoint.CHAT else {"text": word}
    )
    return event(_chunk(answer, choice, spoken, None))


def _head(answer: Answer) -> dict[str, object]:
    chat = answer.endpoint is Endpoint.CHAT
    return {
        "id": answer.id,
        "object": "chat.completion.chunk" if chat else "text_completion",
        "created": answer.created,
        "model": answer.model,
        **answer.signature,
    }


def _chunk(
    answer: Answer, choice: int, spoken: dict[str, object], finish: str | None
) -> dict[str, object]:
    """One chunk; with `include_usage` OpenAI puts `usage: null` into all but the last."""
    entry = {"index": choice, **spoken, "logprobs": None, "finish_reason": finish}
    chunk = {**_head(answer), "choices": [entry]}
    return {**chunk, "usage": None} if answer.include_usage else chunk
