import pytest

from headrace.ingress.keys import orphans
from headrace.ingress.keys.orphans import GRACE_MS, Orphans, Taken
from headrace.schemas.claims import Attach, Orphan
from headrace.schemas.names import Endpoint, InstanceId, RequestId, Tenant

WANTED = (Tenant("acme"), Endpoint.CHAT, "digest")
KEEPER, TAKER, LATE = InstanceId("keeper"), InstanceId("taker"), InstanceId("late")


def orphan(name: str = "r1", digest: str = "digest", tenant: str = "acme") -> Orphan:
    return Orphan(
        tenant=Tenant(tenant), endpoint=Endpoint.CHAT, digest=digest, id=RequestId(name), instance=KEEPER,
        deadline_ms=90_000,
    )  # fmt: skip


def attach(name: str = "r1", by: InstanceId = TAKER, tenant: str = "acme") -> Attach:
    return Attach(
        tenant=Tenant(tenant), endpoint=Endpoint.CHAT, digest="digest", id=RequestId(name), instance=by
    )  # fmt: skip


def test_the_first_attach_in_the_log_takes_the_orphan_and_no_other() -> None:
    fold = Orphans()
    fold.left(orphan(), 1_000)
    assert fold.taken(attach(), 1_001) == Taken(RequestId("r1"), KEEPER, TAKER, 90_000)
    assert fold.taken(attach(by=LATE), 1_002) is None
    assert fold.find(WANTED, 1_003) is None


def test_an_equal_repeat_finds_the_oldest_orphan() -> None:
    fold = Orphans()
    fold.left(orphan("r1"), 1_000)
    fold.left(orphan("r2"), 1_001)
    assert fold.find(WANTED, 1_002) == orphan("r1")
    assert fold.find(WANTED, 1_002, besides={RequestId("r1")}) == orphan("r2")
    fold.taken(attach("r1"), 1_003)
    assert fold.find(WANTED, 1_004) == orphan("r2")


@pytest.mark.parametrize(
    "wanted",
    [
        (Tenant("other"), Endpoint.CHAT, "digest"),
        (Tenant("acme"), Endpoint.COMPLETIONS, "digest"),
        (Tenant("acme"), Endpoint.CHAT, "another"),
    ],
    ids=["tenant", "endpoint", "body"],
)
def test_a_repeat_that_differs_finds_nothing(wanted: orphans.Wanted) -> None:
    fold = Orphans()
    fold.left(orphan(), 1_000)
    assert fold.find(wanted, 1_001) is None


def test_an_attach_of_another_tenant_takes_nothing() -> None:
    fold = Orphans()
    fold.left(orphan(), 1_000)
    assert fold.taken(attach(tenant="other"), 1_001) is None
    assert fold.find(WANTED, 1_002) == orphan()


def test_after_the_grace_nobody_takes_it_up() -> None:
    fold = Orphans()
    fold.left(orphan(), 1_000)
    assert fold.find(WANTED, 1_000 + GRACE_MS) is not None
    assert fold.find(WANTED, 1_001 + GRACE_MS) is None
    assert fold.taken(attach(), 1_001 + GRACE_MS) is None


def test_a_request_whose_connection_breaks_again_is_an_orphan_again() -> None:
    fold = Orphans()
    fold.left(orphan(), 1_000)
    fold.taken(attach(), 2_000)
    fold.left(orphan(), 3_000)
    assert fold.taken(attach(by=LATE), 3_000 + GRACE_MS) == Taken(
        RequestId("r1"), KEEPER, LATE, 90_000
    )


def test_what_is_kept_is_bounded_by_time_and_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphans, "MAX_ORPHANS", 3)
    fold = Orphans()
    for number in range(10):
        fold.left(orphan(f"r{number}"), 1_000)
    assert len(fold) == 3
    fold.left(orphan("last"), 1_001 + GRACE_MS)
    assert len(fold) == 1
