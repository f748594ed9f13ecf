"""The bytes that the upstreams of the bench send, in the OpenAI format."""

COMPLETION = (
    '{"id":"chatcmpl-bench","object":"chat.completion","created":1735689600,'
    '"model":"bench-plain","choices":[{"index":0,"message":{"role":"assistant",'
    '"content":"A headrace is the channel that feeds a mill wheel."},"logprobs":null,'
    '"finish_reason":"stop"}],"usage":{"prompt_tokens":31,"completion_tokens":12,'
    '"total_tokens":43}}'
)
"""One plain answer; without quotes or dollar signs that nginx would read."""

_CHUNK = (
    b'data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1735689600,'
    b'"model":"bench-stream","choices":[{"index":0,"delta":%s,"finish_reason":%s}]%s}\n\n'
)
SENT_NS = b'"sent_ns":'
DONE = b"data: [DONE]\n\n"


def token_event(sent_ns: int) -> bytes:
    """One token, which says when it was sent (monotonic nanoseconds of this machine)."""
    return _CHUNK % (b'{"content":"word "}', b"null", b",%s%d" % (SENT_NS, sent_ns))


def last_events() -> bytes:
    """The reason of the end and `[DONE]`."""
    return _CHUNK % (b"{}", b'"stop"', b"") + DONE


def http_chunk(content: bytes) -> bytes:
    """One chunk of a chunked HTTP body."""
    return b"%x\r\n%s\r\n" % (len(content), content)


STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)
PLAIN = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
    len(COMPLETION),
    COMPLETION.encode(),
)
