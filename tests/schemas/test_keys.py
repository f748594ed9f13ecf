"""API keys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.keys import RANDOM_BYTES, digest, matching, mint, well_formed
from headrace.schemas.names import Tenant

TENANTS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", fullmatch=True).map(Tenant)
RANDOM = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)
KEY = mint(Tenant("acme"), bytes(RANDOM_BYTES))


@given(TENANTS, RANDOM)
def test_a_key_names_its_tenant(tenant: Tenant, random_bytes: bytes) -> None:
    assert well_formed(mint(tenant, random_bytes)) == tenant


@given(st.integers(0, len(KEY) - 1), st.sampled_from("aZ0_-.\n"))
def test_a_mistyped_key_is_not_well_formed(index: int, sign: str) -> None:
    mistyped = KEY[:index] + sign + KEY[index + 1 :]
    assert (well_formed(mistyped) is None) == (mistyped != KEY)


@given(st.text())
def test_no_text_is_too_strange_to_be_refused(text: str) -> None:
    assert well_formed(text) is None


def test_a_key_matches_its_own_digest_under_the_same_pepper_only() -> None:
    assert matching(KEY, "pepper", ["0" * 64, digest(KEY, "pepper")])
    assert not matching(KEY, "salt", [digest(KEY, "pepper")])
    assert not matching(KEY, "pepper", [])


@pytest.mark.parametrize("number", [0, 16, 33])
def test_a_key_takes_exactly_its_random_bytes(number: int) -> None:
    with pytest.raises(ValueError, match="32 random bytes"):
        mint(Tenant("acme"), bytes(number))
