"""The official openai client, sync and async, and what it saw of each request.

Its own retries are off: there is one retry loop, and it is not in the client.
"""

import hashlib
from collections.abc import Callable
from typing import Any

import openai

from headrace.cli.demo.answers import EventDigest, plain_digest
from headrace.cli.demo.ledger import Ledger, Seen
from headrace.cli.demo.prompts import Prompt
from headrace.schemas.config.address import on_loopback

TIMEOUT_S = 90.0
"""Longer than any request of a run that works; what waits longer is written down as lost."""


class Clients:
    """One client of each kind, as an application would have them."""

    def __init__(self, base_url: str, ledger: Ledger) -> None:
        """`base_url` ends with `/v1`."""
        self._ledger = ledger
        trusting = not on_loopback(base_url)  # else a proxy of the environment would be asked
        self._sync = openai.OpenAI(
            base_url=base_url,
            api_key="demo",
            max_retries=0,
            timeout=TIMEOUT_S,
            http_client=openai.DefaultHttpxClient(trust_env=trusting),
        )
        self._async = openai.AsyncOpenAI(
            base_url=base_url,
            api_key="demo",
            max_retries=0,
            timeout=TIMEOUT_S,
            http_client=openai.DefaultAsyncHttpxClient(trust_env=trusting),
        )

    async def aclose(self) -> None:
        """Close all connections."""
        self._sync.close()
        await self._async.close()

    def ask(self, number: int, prompt: Prompt) -> None:
        """Send one request and wait for its end; for a thread."""
        self._ledger.sent(number, prompt)
        try:
            raw = _create(self._sync, prompt)(**_arguments(prompt))
            seen = _seen_stream(raw) if prompt.stream else _seen_plain(raw)
        except Exception as error:  # noqa: BLE001 - whatever a client meets is written down
            seen = _seen_error(error)
        self._ledger.ended(number, seen)

    async def ask_async(self, number: int, prompt: Prompt) -> None:
        """Send one request and wait for its end."""
        self._ledger.sent(number, prompt)
        try:
            raw = await _create(self._async, prompt)(**_arguments(prompt))
            seen = await _seen_async_stream(raw) if prompt.stream else _seen_plain(raw)
        except Exception as error:  # noqa: BLE001 - whatever a client meets is written down
            seen = _seen_error(error)
        self._ledger.ended(number, seen)


def _create(client: openai.OpenAI | openai.AsyncOpenAI, prompt: Prompt) -> Callable[..., Any]:
    match prompt.endpoint:
        case "chat/completions":
            return client.chat.completions.with_raw_response.create
        case "completions":
            return client.completions.with_raw_response.create
        case "embeddings":
            return client.embeddings.with_raw_response.create


def _arguments(prompt: Prompt) -> dict[str, Any]:
    stream = {"stream": True} if prompt.stream else {}
    return {**prompt.body, **stream, "extra_headers": {"headrace-lane": prompt.lane}}


def _seen_plain(raw: Any) -> Seen:  # noqa: ANN401 - the client's response type has no public name
    raw.parse()
    return _seen(raw, plain_digest(raw.content))


def _seen_stream(raw: Any) -> Seen:  # noqa: ANN401 - as above
    digest = EventDigest()
    try:
        with raw.parse() as stream:
            for chunk in stream:
                digest.add(_event(chunk))
    except Exception as error:  # noqa: BLE001 - a stream that breaks has its status and id
        return _seen(raw, digest.hexdigest(), error)
    return _seen(raw, digest.hexdigest())


async def _seen_async_stream(raw: Any) -> Seen:  # noqa: ANN401 - as above
    digest = EventDigest()
    try:
        async with raw.parse() as stream:
            async for chunk in stream:
                digest.add(_event(chunk))
    except Exception as error:  # noqa: BLE001 - a stream that breaks has its status and id
        return _seen(raw, digest.hexdigest(), error)
    return _seen(raw, digest.hexdigest())


def _event(chunk: Any) -> object:  # noqa: ANN401 - chat and text chunks share no base of their own
    """The event's JSON as the client decoded it, no field added."""
    return chunk.model_dump(mode="json", exclude_unset=True)


def _seen(raw: Any, digest: str, error: Exception | None = None) -> Seen:  # noqa: ANN401
    return Seen(
        body_sha256=hashlib.sha256(raw.http_request.content).hexdigest(),
        status=raw.status_code,
        request_id=raw.headers.get("x-request-id", ""),
        answer_sha256=digest,
        error="" if error is None else f"{type(error).__name__}: {error}",
    )


def _seen_error(error: Exception) -> Seen:
    told = f"{type(error).__name__}: {error}"
    if not isinstance(error, openai.APIError):
        return Seen(error=told)
    sent = hashlib.sha256(error.request.content).hexdigest()
    if not isinstance(error, openai.APIStatusError):
        return Seen(body_sha256=sent, error=told)
    return Seen(
        body_sha256=sent,
        status=error.status_code,
        request_id=error.response.headers.get("x-request-id", ""),
        answer_sha256=plain_digest(error.response.content),
        error=told,
    )
