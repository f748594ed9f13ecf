import uuid

from hypothesis import given
from hypothesis import strategies as st

from headrace.ingress.ids import RANDOM_BITS, uuid7

RANDOM = st.integers(0, 2**RANDOM_BITS - 1)


@given(st.integers(0, 2**48 - 1), RANDOM)
def test_an_id_is_a_uuid_of_version_7_that_tells_its_time(at_ms: int, random: int) -> None:
    parsed = uuid.UUID(uuid7(at_ms, random))
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert parsed.int >> 80 == at_ms


@given(st.integers(0, 2**40), RANDOM, RANDOM)
def test_a_later_id_sorts_after_an_earlier_one(at_ms: int, one: int, other: int) -> None:
    assert uuid7(at_ms, one) < uuid7(at_ms + 1, other)


@given(RANDOM, RANDOM)
def test_every_random_bit_counts(one: int, other: int) -> None:
    assert (uuid7(1, one) == uuid7(1, other)) == (one == other)
