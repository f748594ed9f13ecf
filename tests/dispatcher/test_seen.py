"""Ids that come twice are known, for long enough and in bounded memory."""

from hypothesis import given
from hypothesis import strategies as st

from headrace.dispatcher.seen import GENERATION, Seen, Sight
from headrace.schemas.names import RequestId, Tenant

ONE, TWO = Tenant("one"), Tenant("two")


def look(seen: Seen, number: int, body: bytes = b"{}", *, tenant: Tenant = ONE) -> Sight:
    """A request by its number."""
    return seen.look(tenant, RequestId(f"r-{number}"), 0, body)


def test_a_repeated_id_is_known_by_its_body() -> None:
    seen = Seen()
    assert look(seen, 1) is Sight.NEW
    assert look(seen, 1) is Sight.SAME
    assert look(seen, 1, b"[]") is Sight.OTHER_BODY


def test_an_id_belongs_to_its_tenant() -> None:
    seen = Seen()
    look(seen, 1)
    assert look(seen, 1, b"[]", tenant=TWO) is Sight.NEW


def test_a_replay_is_another_request() -> None:
    seen = Seen()
    assert seen.look(ONE, RequestId("r"), 0, b"{}") is Sight.NEW
    assert seen.look(ONE, RequestId("r"), 1, b"{}") is Sight.NEW


def test_the_last_ids_are_known_and_old_ones_forgotten() -> None:
    seen = Seen()
    for number in range(3 * GENERATION):
        assert look(seen, number) is Sight.NEW
    assert look(seen, 2 * GENERATION) is Sight.SAME
    assert look(seen, 0) is Sight.NEW


@given(st.lists(st.integers(0, 600), max_size=1500))
def test_it_knows_what_a_set_would_know(numbers: list[int]) -> None:
    seen, known = Seen(), set[int]()
    for number in numbers:
        assert (look(seen, number) is Sight.SAME) == (number in known)
        known.add(number)
