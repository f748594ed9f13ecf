"""The mock as the official client sees it."""

import asyncio
import time
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import SecretStr

from headrace.cli.mock import MockConfig, MockUpstream
from headrace.cli.mock.errors import STATUSES

MESSAGES: Any = [{"role": "user", "content": "Why does a mill need a headrace?"}]

ERROR_CLASSES: dict[int, type[openai.APIStatusError]] = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    409: openai.ConflictError,
    422: openai.UnprocessableEntityError,
    429: openai.RateLimitError,
    **dict.fromkeys((500, 502, 503, 504, 529), openai.InternalServerError),
}


def client_of(upstream: MockUpstream, *, retries: int = 0) -> AsyncOpenAI:
    """The async client with its own retries off."""
    return AsyncOpenAI(base_url=upstream.base_url, api_key="k", max_retries=retries, timeout=60)


async def test_a_chat_is_answered(upstream: MockUpstream) -> None:
    async with client_of(upstream) as client:
        answer = await client.chat.completions.create(model="m", messages=MESSAGES, n=2)
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 32


async def test_the_same_request_gets_the_same_bytes_twice(upstream: MockUpstream) -> None:
    async with client_of(upstream) as client:
        create = client.chat.completions.with_raw_response.create
        bodies = [(await create(model="m", messages=MESSAGES)).content for _ in range(2)]
    assert bodies[0] == bodies[1]


async def test_the_same_streamed_request_gets_the_same_events(upstream: MockUpstream) -> None:
    async with client_of(upstream) as client:
        texts = []
        for _ in range(2):
            stream = await client.chat.completions.create(
                model="m", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
            )
            chunks = [chunk async for chunk in stream]
            texts.append([chunk.choices[0].delta.content for chunk in chunks if chunk.choices])
    assert texts[0] == texts[1]
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 16
    assert [call.finished.chunks for call in upstream.log.calls if call.finished] == [20, 20]


async def test_completions_answer_plain_and_streamed(upstream: MockUpstream) -> None:
    async with client_of(upstream) as client:
        plain = await client.completions.create(model="m", prompt=["a", "b"])
        stream = await client.completions.create(model="m", prompt="a", stream=True)
        words = [chunk.choices[0].text async for chunk in stream]
    assert len(plain.choices) == 2
    assert len("".join(words).split(" ")) >= 16


async def test_embeddings_are_the_same_in_base64_and_as_numbers(upstream: MockUpstream) -> None:
    async with client_of(upstream) as client:
        coded = await client.embeddings.create(model="e", input=["a", "b"], dimensions=8)
        plain = await client.embeddings.create(
            model="e", input=["a", "b"], dimensions=8, encoding_format="float"
        )
    assert [item.embedding for item in coded.data] == [item.embedding for item in plain.data]
    assert len(coded.data[1].embedding) == 8


async def test_models_are_listed(upstream: MockUpstream) -> None:
    async with client_of(upstream) as client:
        names = [model.id async for model in client.models.list()]
        assert (await client.models.retrieve("mock-slow")).id == "mock-slow"
    assert {"mock", "mock-429", "mock-stall-after"} <= set(names)


@pytest.mark.parametrize("status", STATUSES)
async def test_each_status_raises_the_error_class_of_the_client(
    upstream: MockUpstream, status: int
) -> None:
    async with client_of(upstream) as client:
        with pytest.raises(openai.APIStatusError) as raised:
            await client.chat.completions.create(model=f"mock-{status}", messages=MESSAGES)
    assert type(raised.value) is ERROR_CLASSES.get(status, openai.APIStatusError)
    assert raised.value.status_code == status
    assert raised.value.code == STATUSES[status].code


@pytest.mark.parametrize("status", [429, 503])
async def test_an_error_comes_as_a_status_when_a_stream_was_asked_for(
    upstream: MockUpstream, status: int
) -> None:
    async with client_of(upstream) as client:
        with pytest.raises(ERROR_CLASSES[status]):
            await client.chat.completions.create(
                model=f"mock-{status}", messages=MESSAGES, stream=True
            )


async def test_a_script_in_the_body_reaches_the_mock(upstream: MockUpstream) -> None:
    async with client_of(upstream) as client:
        with pytest.raises(openai.RateLimitError) as raised:
            await client.chat.completions.create(
                model="m", messages=MESSAGES, user="status=429;code=insufficient_quota"
            )
        with pytest.raises(openai.InternalServerError):
            await client.chat.completions.create(
                model="m", messages=MESSAGES, metadata={"mock": "status=503"}
            )
    assert raised.value.type == "insufficient_quota"


async def test_a_header_wins_over_the_body(upstream: MockUpstream) -> None:
    async with client_of(upstream) as client:
        with pytest.raises(openai.ConflictError):
            await client.chat.completions.create(
                model="mock-500",
                messages=MESSAGES,
                user="status=503",
                extra_headers={"x-mock-script": "status=409"},
            )


async def test_a_wrong_script_is_told(upstream: MockUpstream) -> None:
    async with client_of(upstream) as client:
        with pytest.raises(openai.BadRequestError, match="latncy"):
            await client.chat.completions.create(model="mock:latncy=5", messages=MESSAGES)


async def test_the_retries_of_the_client_get_past_two_failures(upstream: MockUpstream) -> None:
    async with client_of(upstream, retries=2) as client:
        await client.chat.completions.create(
            model="mock:fail=1x500+1xreset,retry_after_ms=1", messages=MESSAGES
        )
    assert [call.received.attempt for call in upstream.log.calls] == [1, 2, 3]


@pytest.mark.parametrize(
    ("script", "header", "value"),
    [
        ("retry_after=7", "retry-after", "7"),
        ("retry_after=soon", "retry-after", "soon"),
        ("retry_after=1000000000", "retry-after", "1000000000"),
        ("retry_after_ms=250", "retry-after-ms", "250"),
        ("should_retry=false", "x-should-retry", "false"),
    ],
)
async def test_wait_headers_are_sent_as_scripted(
    upstream: MockUpstream, script: str, header: str, value: str
) -> None:
    async with client_of(upstream) as client:
        with pytest.raises(openai.RateLimitError) as raised:
            await client.chat.completions.create(
                model=f"mock:status=429,{script}", messages=MESSAGES
            )
    assert raised.value.response.headers[header] == value


async def test_an_error_event_in_a_stream_is_an_error_of_the_client(
    upstream: MockUpstream,
) -> None:
    async with client_of(upstream) as client:
        stream = await client.chat.completions.create(
            model="mock-error-event", messages=MESSAGES, stream=True
        )
        with pytest.raises(openai.APIError, match="server had an error"):
            _ = [chunk async for chunk in stream]


async def test_the_rate_limit_is_enforced_and_told() -> None:
    config = MockConfig.model_validate({"script": "rpm=2"})
    async with MockUpstream(config) as upstream, client_of(upstream) as client:
        create = client.chat.completions.with_raw_response.create
        first = await create(model="m", messages=MESSAGES)
        await create(model="m", messages=MESSAGES)
        with pytest.raises(openai.RateLimitError) as raised:
            await create(model="m", messages=MESSAGES)
        await create(model="other", messages=MESSAGES)
    assert first.headers["x-ratelimit-remaining-requests"] == "1"
    assert 0 < int(raised.value.response.headers["retry-after"]) <= 60
    assert raised.value.response.headers["x-ratelimit-limit-requests"] == "2"


async def test_a_key_is_checked_when_one_is_configured() -> None:
    config = MockConfig(api_key=SecretStr("other"))
    async with MockUpstream(config) as upstream, client_of(upstream) as client:
        with pytest.raises(openai.AuthenticationError):
            await client.chat.completions.create(model="m", messages=MESSAGES)
        friend = client.with_options(api_key="other")
        await friend.chat.completions.create(model="m", messages=MESSAGES)


async def test_pace_and_latency_are_kept(upstream: MockUpstream) -> None:
    async with client_of(upstream) as client:
        started = time.monotonic()
        stream = await client.chat.completions.create(
            model="mock:latency=50,ttft=50,tokens=6,tps=50", messages=MESSAGES, stream=True
        )
        arrived = [time.monotonic() - started async for _ in stream]
    assert arrived[0] >= 0.1
    assert arrived[-1] >= 0.2


async def test_the_sync_client_works_as_well(upstream: MockUpstream) -> None:
    def ask() -> str | None:
        with OpenAI(base_url=upstream.base_url, api_key="k", max_retries=0) as client:
            answer = client.chat.completions.create(model="m", messages=MESSAGES)
            stream = client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
            assert len(list(stream)) == 18
            return answer.choices[0].message.content

    assert await asyncio.to_thread(ask)
