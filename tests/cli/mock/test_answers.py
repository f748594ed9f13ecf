"""Answers are a function of the body's bytes."""

import base64
import hashlib
import json
import math
from array import array
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.cli.mock.answers import compose_answer, plain_body
from headrace.cli.mock.calls import CallError, Endpoint, ModelCall, read_call
from headrace.cli.mock.embeddings import embeddings_body
from headrace.cli.mock.streams import stream_frames


def read(endpoint: Endpoint, body: object) -> ModelCall:
    """Read a body as the mock reads it."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_call(endpoint, raw, hashlib.sha256(raw).digest())


def chat(**fields: object) -> ModelCall:
    """A chat call with these fields."""
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
    return read(Endpoint.CHAT, body)


def streamed_texts(call: ModelCall, tokens: int) -> dict[int, str]:
    """The text of each choice, put together from the events."""
    texts: dict[int, str] = {}
    for frame in stream_frames(compose_answer(call, tokens)):
        payload = frame.payload.removeprefix(b"data: ").strip()
        for choice in [] if payload == b"[DONE]" else json.loads(payload)["choices"]:
            word = choice["delta"].get("content", "") if "delta" in choice else choice["text"]
            texts[choice["index"]] = texts.get(choice["index"], "") + word
    return texts


def test_the_same_body_gets_the_same_bytes() -> None:
    first, second = compose_answer(chat(), 16), compose_answer(chat(), 16)
    assert plain_body(first) == plain_body(second)
    assert list(stream_frames(first)) == list(stream_frames(second))


def test_a_signed_answer_names_its_attempt_in_each_event() -> None:
    answer = compose_answer(replace(chat(), fingerprint="fp_2"), 3)
    assert json.loads(plain_body(answer))["system_fingerprint"] == "fp_2"
    events = [frame.payload for frame in stream_frames(answer)]
    assert all(b'"system_fingerprint":"fp_2"' in event for event in events[:-1])


def test_an_answer_is_not_signed_by_default() -> None:
    assert b"system_fingerprint" not in plain_body(compose_answer(chat(), 3))


def test_another_body_gets_another_id() -> None:
    assert compose_answer(chat(), 16).id != compose_answer(chat(user="b"), 16).id


@given(tokens=st.integers(0, 100), n=st.integers(1, 4), seed=st.integers())
def test_a_stream_says_what_the_plain_answer_says(tokens: int, n: int, seed: int) -> None:
    call = chat(n=n, seed=seed)
    plain = json.loads(plain_body(compose_answer(call, tokens)))
    spoken = {choice["index"]: choice["message"]["content"] for choice in plain["choices"]}
    assert streamed_texts(call, tokens) == spoken


def test_a_text_completion_streams_what_it_says_plainly() -> None:
    call = read(Endpoint.COMPLETIONS, {"model": "m", "prompt": ["a", "b"], "n": 2})
    plain = json.loads(plain_body(compose_answer(call, 40)))
    spoken = {choice["index"]: choice["text"] for choice in plain["choices"]}
    assert len(spoken) == 4
    assert streamed_texts(call, 40) == spoken


def test_max_tokens_shortens_the_answer_and_says_so() -> None:
    answer = compose_answer(chat(max_completion_tokens=4), 16)
    assert (answer.tokens, answer.finish_reason) == (4, "length")


def test_usage_comes_last_only_when_asked_for() -> None:
    asked = chat(stream=True, stream_options={"include_usage": True})
    usage, done = list(stream_frames(compose_answer(asked, 3)))[-2:]
    assert json.loads(usage.payload[6:])["usage"]["completion_tokens"] == 3
    assert json.loads(usage.payload[6:])["choices"] == []
    assert done.payload == b"data: [DONE]\n\n"
    silent = stream_frames(compose_answer(chat(stream=True), 3))
    assert not any(b"usage" in frame.payload for frame in silent)


def test_too_many_tokens_are_refused_before_memory_is_spent() -> None:
    with pytest.raises(CallError):
        compose_answer(chat(n=128), 9_000_000)


@given(text=st.text(), dimensions=st.integers(1, 64))
def test_a_vector_is_the_same_in_both_encodings(text: str, dimensions: int) -> None:
    body = {"model": "e", "input": text, "dimensions": dimensions}
    numbers = json.loads(embeddings_body(read(Endpoint.EMBEDDINGS, body), 8))
    coded = json.loads(
        embeddings_body(read(Endpoint.EMBEDDINGS, {**body, "encoding_format": "base64"}), 8)
    )
    vector = array("f", base64.b64decode(coded["data"][0]["embedding"])).tolist()
    assert vector == numbers["data"][0]["embedding"]
    assert len(vector) == dimensions
    assert math.isclose(math.hypot(*vector), 1.0, rel_tol=1e-5)


@pytest.mark.parametrize(
    ("given_input", "count"),
    [("a", 1), (["a", "b"], 2), ([1, 2, 3], 1), ([[1], [2], [3]], 3)],
)
def test_input_may_be_text_texts_or_tokens(given_input: object, count: int) -> None:
    call = read(Endpoint.EMBEDDINGS, {"model": "e", "input": given_input})
    assert len(json.loads(embeddings_body(call, 4))["data"]) == count


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        (Endpoint.CHAT, b"{"),
        (Endpoint.CHAT, b"[]"),
        (Endpoint.CHAT, b"\xff"),
        (Endpoint.CHAT, b"[" * 200_000),
        (Endpoint.CHAT, {"messages": [1]}),
        (Endpoint.CHAT, {"model": "m"}),
        (Endpoint.CHAT, {"model": "m", "messages": []}),
        (Endpoint.CHAT, {"model": "m", "messages": "hi"}),
        (Endpoint.CHAT, {"model": "m", "messages": [1], "n": 10**9}),
        (Endpoint.COMPLETIONS, {"model": "m"}),
        (Endpoint.COMPLETIONS, {"model": "m", "prompt": ["a"] * 100, "n": 2}),
        (Endpoint.EMBEDDINGS, {"model": "m", "input": []}),
        (Endpoint.EMBEDDINGS, {"model": "m", "input": ["a"] * 2049}),
        (Endpoint.EMBEDDINGS, {"model": "m", "input": "a", "encoding_format": "hex"}),
    ],
)
def test_a_body_that_cannot_be_answered_is_refused(endpoint: Endpoint, body: object) -> None:
    with pytest.raises(CallError):
        read(endpoint, body)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_call_or_a_call_error(raw: bytes) -> None:
    for endpoint in Endpoint:
        try:
            read(endpoint, raw)
        except CallError:
            continue
