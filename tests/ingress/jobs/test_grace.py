"""Clients that went away may come back for a while; then the request is cancelled, once."""

from headrace.ingress.jobs.grace import Grace
from headrace.schemas.claims import Attach
from headrace.schemas.names import Endpoint, InstanceId, RequestId, Tenant
from headrace.schemas.records import RequestRecord

GRACE_S = 30.0


def left(*names: str) -> Grace:
    """A grace that began at 0."""
    grace = Grace(GRACE_S)
    for name in names:
        grace.begin(RequestRecord(id=RequestId(name), body=b"{}"), 0.0)
    return grace


def cancelled(grace: Grace, now: float) -> list[str]:
    return [record.id for record in grace.sweep(now)]


def test_a_request_is_cancelled_when_the_grace_is_over_and_not_before() -> None:
    grace = left("a")
    assert not cancelled(grace, GRACE_S - 0.1)
    assert cancelled(grace, GRACE_S) == ["a"]
    assert not cancelled(grace, GRACE_S + 1)


def test_who_comes_back_keeps_the_request() -> None:
    grace = left("a", "b")
    grace.keep(RequestId("a"))
    assert cancelled(grace, GRACE_S) == ["b"]


def test_interest_at_another_replica_keeps_the_request() -> None:
    grace = left("a")
    attach = Attach(
        tenant=Tenant("t"), endpoint=Endpoint.CHAT, digest="", id=RequestId("a"), instance=InstanceId("i")
    )  # fmt: skip
    grace.read(attach, 0)
    assert not cancelled(grace, GRACE_S)


def test_who_came_before_the_client_left_keeps_the_request_too() -> None:
    grace = Grace(GRACE_S)
    grace.keep(RequestId("a"))
    grace.begin(RequestRecord(id=RequestId("a"), body=b"{}"), 0.0)
    assert not cancelled(grace, GRACE_S)


def test_a_request_that_has_ended_is_forgotten() -> None:
    grace = left("a")
    grace.ended(RequestId("a"))
    assert (len(grace), cancelled(grace, GRACE_S)) == (0, [])
