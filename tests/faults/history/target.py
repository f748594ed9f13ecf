"""What the driver talks to, and in which mix."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from faults.history.events import Way


@dataclass(frozen=True, kw_only=True)
class Target:
    """A running installation."""

    ingress: tuple[str, ...]
    """Base URLs without `/v1`; requests take turns, a poll may go to another than its submit."""
    bootstrap: str
    prefix: str
    """Before the names of the topics."""
    tenants: Mapping[str, str]
    """API key by tenant; an empty key under `auth: open`."""
    copies: int = 1
    """Replication factor of topics that the driver makes."""


@dataclass(frozen=True, kw_only=True)
class Mix:
    """What is sent. The same seed sends the same requests in the same order."""

    ways: Mapping[Way, int] = field(
        default_factory=lambda: {Way.SYNC: 6, Way.STREAM: 2, Way.DIRECT: 2}
    )
    """Shares."""
    models: Mapping[str, int] = field(default_factory=lambda: {"small": 1})
    lanes: tuple[str, ...] = ("standard",)
    seed: int = 1
    timeout_s: float = 30.0
    """A client waits so long; then its request is unknown."""
    at_most: int = 512
    """Requests in flight; at this bound sending waits."""
    keys: int = 4
    """How many keyed requests in a row share one idempotency key."""
    script: str = ""
    """Words for the mock in every body, as `latency_ms=50;sign=1`."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request before it is sent."""

    number: int
    way: Way
    tenant: str
    model: str
    lane: str
    body: bytes
    key: str = ""

    @property
    def digest(self) -> str:
        """Of the body."""
        return hashlib.sha256(self.body).hexdigest()


def chat(run: str, request: int, tenant: str, model: str, *, stream: bool, script: str) -> bytes:
    """A body that no other request of any run has; it names its tenant."""
    message = {"role": "user", "content": f"{tenant} {run} {request}"}
    body: dict[str, object] = {"model": model, "messages": [message]}
    if stream:
        body["stream"] = True
    if script:
        body["user"] = script
    return json.dumps(body).encode()
