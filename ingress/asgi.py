"""Reading and writing over ASGI, with bounds."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from headrace.ingress.answer import Answer, put
from headrace.ingress.refusal import Refusal
from headrace.schemas.errors import Code

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

SLICE_BYTES = 256 * 1024
LINGER_S = 2.0
LINGER_BYTES = 64 * 1024 * 1024


async def read_body(receive: Receive, limit: int) -> bytes | Refusal | None:
    """The whole body, at most `limit` bytes of it ever held; None if the client left."""
    message = await receive()
    if message["type"] != "http.request":
        return None
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        return body if len(body) <= limit else _too_large(limit)
    parts = [body]
    size = len(body)
    while message.get("more_body", False):
        if size > limit:
            return _too_large(limit)
        message = await receive()
        if message["type"] != "http.request":
            return None
        part: bytes = message.get("body", b"")
        parts.append(part)
        size += len(part)
    return b"".join(parts) if size <= limit else _too_large(limit)


def _too_large(limit: int) -> Refusal:
    return Refusal(Code.RECORD_TOO_LARGE, f"The body is larger than {limit} bytes.")


def telling(send: Send, headers: list[tuple[bytes, bytes]]) -> Send:
    """`send`, with these headers on the answer in place of others of their names."""
    if not headers:
        return send

    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": put(message["headers"], headers)}
        await send(message)

    return told


async def send_answer(send: Send, answer: Answer) -> None:
    """Send a whole answer. A long body goes in slices, each after the client took enough of the last."""
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    body = answer.body
    if len(body) > SLICE_BYTES:
        view = memoryview(body)
        last = (len(body) - 1) // SLICE_BYTES * SLICE_BYTES
        for at in range(0, last, SLICE_BYTES):
            await send_part(send, bytes(view[at : at + SLICE_BYTES]))
        body = bytes(view[last:])
    await send({"type": "http.response.body", "body": body})


async def send_part(send: Send, body: bytes) -> None:
    """Send a part of a body."""
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def linger(receive: Receive, send: Send, answer: Answer) -> None:
    """Answer a client that is still sending, and read on for a moment before the connection is closed.

    Closed at once, its unread bytes would make the kernel reset the connection, and the client would
    lose the answer. What is read is thrown away, and bounded in time and size.
    """
    answer.headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send_part(send, answer.body)
    thrown = 0
    try:
        async with asyncio.timeout(LINGER_S):
            while thrown < LINGER_BYTES:
                message = await receive()
                thrown += len(message.get("body", b""))
                if not message.get("more_body", False):
                    break
    except TimeoutError:
        pass
    await send({"type": "http.response.body", "body": b""})
