"""What makes two requests the same: the endpoint and the body, byte for byte."""

import hashlib

from headrace.schemas.names import Endpoint


def request_digest(endpoint: Endpoint | None, body: bytes) -> str:
    """SHA-256 in hex over the endpoint and the body; None stands for an endpoint told by the body."""
    path = b"" if endpoint is None else endpoint.value.encode()
    return hashlib.sha256(path + b"\n" + body).hexdigest()
