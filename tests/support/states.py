"""Records on `status` and `claims` as tests want them."""

from typing import Any

from hypothesis import strategies as st

from headrace.schemas.claims import Attach, Claim, Orphan
from headrace.schemas.names import (
    DeploymentName,
    Endpoint,
    InstanceId,
    Kind,
    LaneName,
    ModelName,
    Outcome,
    RequestId,
    Tenant,
)
from headrace.schemas.status import Queued, Running, Status, Terminal

TENANT = Tenant("acme")


def queued(request_id: str = "r-1", **fields: Any) -> Queued:
    """An accepted job."""
    usual: dict[str, Any] = {
        "tenant": TENANT,
        "id": RequestId(request_id),
        "kind": Kind.JOB,
        "model": ModelName("small"),
        "lane": LaneName("standard"),
        "endpoint": Endpoint.CHAT,
        "stream": False,
        "accepted_ms": 1_000,
        "deadline_ms": 61_000,
        "reply_partition": 3,
    }
    return Queued(**(usual | fields))


def running(request_id: str = "r-1", **fields: Any) -> Running:
    """Its first attempt."""
    usual: dict[str, Any] = {
        "tenant": TENANT,
        "id": RequestId(request_id),
        "attempt": 1,
        "deployment": DeploymentName("east"),
        "source": "d-1",
    }
    return Running(**(usual | fields))


def terminal(request_id: str = "r-1", **fields: Any) -> Terminal:
    """Its success."""
    usual: dict[str, Any] = {
        "tenant": TENANT,
        "id": RequestId(request_id),
        "outcome": Outcome.COMPLETED,
        "status": 200,
        "attempt": 1,
        "attempts": 1,
        "queue_ms": 12,
        "upstream": "east",
        "result": (3, 70, 1),
    }
    return Terminal(**(usual | fields))


def claim(key: str = "k-1", digest: str = "d" * 64, instance: str = "i-1") -> Claim:
    """A claim of an idempotency key."""
    return Claim(
        tenant=TENANT,
        key=key,
        digest=digest,
        lane=LaneName("standard"),
        model=ModelName("small"),
        instance=InstanceId(instance),
        deadline_ms=61_000,
    )


def orphan(request_id: str = "r-1") -> Orphan:
    """A request whose connection broke."""
    return Orphan(
        tenant=TENANT,
        endpoint=Endpoint.CHAT,
        digest="d" * 64,
        id=RequestId(request_id),
        instance=InstanceId("i-1"),
        deadline_ms=61_000,
    )


def attach(request_id: str = "r-1") -> Attach:
    """Somebody takes it up."""
    return Attach(
        tenant=TENANT,
        endpoint=Endpoint.CHAT,
        digest="d" * 64,
        id=RequestId(request_id),
        instance=InstanceId("i-2"),
    )


def states_of_one_request(request_id: str = "r-1") -> st.SearchStrategy[Status]:
    """Anything that may come of one id."""
    attempts = st.integers(1, 3)
    chunks = st.none() | st.tuples(st.integers(0, 3), st.integers(0, 99))
    return st.one_of(
        st.builds(queued, st.just(request_id), deadline_ms=st.integers(0, 99)),
        st.builds(running, st.just(request_id), attempt=attempts, chunks=chunks),
        st.builds(
            terminal, st.just(request_id), outcome=st.sampled_from(Outcome), attempt=attempts
        ),
    )
