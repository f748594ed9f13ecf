"""Answers as values that can be compared: what the upstream gives to a body, and digests.

The mock's answer is a function of the body alone, so what it must have said is computed here
again, by its own pure parts.
"""

import hashlib
from collections.abc import Iterator

import orjson

from headrace.cli.mock.answers import compose_answer, plain_body
from headrace.cli.mock.calls import Endpoint, read_call
from headrace.cli.mock.embeddings import embeddings_body
from headrace.cli.mock.script import Script
from headrace.cli.mock.streams import stream_frames

DATA = b"data: "
DONE = b"[DONE]"


def upstream_answer(endpoint: str, body: bytes, script: Script) -> bytes:
    """The bytes of the mock's whole answer to `body`; `endpoint` as `chat/completions`.

    Raises ValueError where the mock would refuse it.
    """
    path = Endpoint(f"/v1/{endpoint}")
    call = read_call(path, body, hashlib.sha256(body).digest())
    if path is Endpoint.EMBEDDINGS:
        return embeddings_body(call, script.dimensions)
    answer = compose_answer(call, script.tokens)
    if call.stream:
        return b"".join(frame.payload for frame in stream_frames(answer))
    return plain_body(answer)


def plain_digest(body: bytes) -> str:
    """SHA-256 of a plain answer, as it came."""
    return hashlib.sha256(body).hexdigest()


class EventDigest:
    """SHA-256 over the events of a stream, in the order in which a client saw them."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()

    def add(self, event: object) -> None:
        """One more event, as decoded JSON."""
        self._sha256.update(orjson.dumps(event, option=orjson.OPT_SORT_KEYS) + b"\n")

    def hexdigest(self) -> str:
        """The digest so far."""
        return self._sha256.hexdigest()


def stream_digest(raw: bytes) -> str:
    """The `EventDigest` of the bytes of a whole stream. Raises ValueError on what is no JSON."""
    digest = EventDigest()
    for payload in _payloads(raw):
        if payload != DONE:
            digest.add(orjson.loads(payload))
    return digest.hexdigest()


def _payloads(raw: bytes) -> Iterator[bytes]:
    """The data of each event; comments are left out."""
    for line in raw.split(b"\n"):
        if line.startswith(DATA):
            yield line[len(DATA) :]
