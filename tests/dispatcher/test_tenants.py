"""Tenants take turns by their weights; nobody saves up, and nothing is lost count of."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from headrace.dispatcher.tenants import TenantQueues
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.names import Tenant
from support.dispatch import APPENDED_MS, waiting


def filled(counts: dict[str, int], weights: dict[str, float] | None = None) -> TenantQueues:
    """So many requests of each tenant."""
    named = {Tenant(name): weight for name, weight in (weights or {}).items()}
    queues = TenantQueues(named)
    for tenant, count in counts.items():
        for _ in range(count):
            queues.push(waiting(tenant=tenant))
    return queues


def picks(queues: TenantQueues, count: int) -> list[Tenant]:
    """Whose the next `count` requests are."""
    return [queues.pick().record.tenant for _ in range(count)]


def test_one_request_of_a_tenant_does_not_wait_for_all_of_another() -> None:
    queues = filled({"many": 100, "few": 1})
    assert "few" in picks(queues, 2)


def test_weights_are_shares() -> None:
    queues = filled({"a": 400, "b": 400, "c": 400}, {"a": 2.5, "c": 0.25})
    seen = Counter(picks(queues, 300))
    assert abs(seen[Tenant("a")] - 200) <= 3
    assert abs(seen[Tenant("b")] - 80) <= 2
    assert abs(seen[Tenant("c")] - 20) <= 2


def test_one_with_much_to_do_has_its_turns_among_many_who_come_and_go() -> None:
    """It came to the front with nothing left, as those before it had gone, and was sent back each time."""
    queues = filled({"many": 2_000})
    for number in range(19):
        queues.push(waiting(tenant=f"once {number}"))
    seen = Counter[str]()
    for number in range(1_000):
        (whose,) = picks(queues, 1)
        seen["many" if whose == "many" else "once"] += 1
        if whose != "many":
            queues.push(waiting(tenant=f"again {number}"))
    assert abs(seen["many"] - 1_000 / 20) <= 3


def test_one_that_was_away_has_saved_nothing() -> None:
    queues = filled({"a": 50, "b": 1})
    picks(queues, 30)
    for _ in range(20):
        queues.push(waiting(tenant="b"))
    assert abs(Counter(picks(queues, 20))[Tenant("b")] - 10) <= 1


@given(st.lists(st.integers(0, 9), min_size=1))
def test_the_oldest_of_a_tenant_goes_first_in_whatever_order_they_were_read(
    ages: list[int],
) -> None:
    queues = TenantQueues({})
    for age in ages:
        one = waiting(tenant="a")
        one.source = structs.replace(one.source, timestamp_ms=APPENDED_MS + age)
        queues.push(one)
    assert [queues.pick().rank - APPENDED_MS for _ in ages] == sorted(ages)
    assert not queues


@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers(1, 30), min_size=1),
    st.dictionaries(st.sampled_from("abcd"), st.floats(0.001, 1000)),
    st.integers(0, 3),
)
def test_each_request_is_picked_or_taken_once(
    counts: dict[str, int], weights: dict[str, float], taken: int
) -> None:
    queues = filled(counts, weights)
    every = set(map(id, queues))
    out: list[Waiting] = queues.take(lambda one: one.record.tenant == "abcd"[taken])
    while queues:
        out.append(queues.pick())
    assert len(out) == sum(counts.values())
    assert set(map(id, out)) == every
