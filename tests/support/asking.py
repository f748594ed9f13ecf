"""Requests as the tests of the ingress send them."""

from typing import Any

from support.serving import MODEL

BODY: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}
CHUNKS = [
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"small",'
    b'"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % word
    for word in (b"one ", b"two ", b"three")
]
DONE = b"data: [DONE]\n\n"


def raw_request(body: bytes) -> bytes:
    """A chat request as it goes over the wire."""
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n%b" % (len(body), body)
    )
