"""Records on `status` and `claims` are read as they were written; ids and places follow from them."""

import uuid

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas import claims, status
from headrace.schemas.names import Endpoint, RequestId, Tenant
from headrace.schemas.status import Queued, Running, Status, Terminal, indexed_partition, status_key
from headrace.schemas.topics import INDEXED_PARTITIONS
from support.contract import CLAIM_ENTRIES, STATUSES


@given(STATUSES)
def test_a_state_is_read_as_it_was_written(state: Status) -> None:
    assert status.decode(status.encode(state)) == state


@given(CLAIM_ENTRIES)
def test_an_entry_is_read_as_it_was_written(entry: claims.Entry) -> None:
    assert claims.decode(claims.encode(entry)) == entry


@pytest.mark.parametrize("value", [b"", b"{}", b"[]", b'["won",1]', b'["queued","a"]', b"\xff"])
def test_anything_else_is_refused_as_such(value: bytes) -> None:
    for decode in (status.decode, claims.decode):
        with pytest.raises(msgspec.MsgspecError):
            decode(value)


@pytest.mark.parametrize("number", [-1, 2**53, 2**70])
def test_a_number_that_not_every_reader_can_hold_is_refused(number: int) -> None:
    row = ["running", "acme", "r-1", number, "east", "d-1"]
    with pytest.raises(msgspec.ValidationError):
        status.decode(msgspec.json.encode(row))


def test_a_newer_writer_may_add_fields_at_the_end() -> None:
    for state in (
        Running(tenant=Tenant("a"), id=RequestId("r"), attempt=1, deployment="d", source="p"),
    ):
        longer = msgspec.json.encode([*msgspec.json.decode(status.encode(state)), "new"])
        assert status.decode(longer) == state


def test_records_are_arrays_that_a_person_can_read() -> None:
    state = Terminal(tenant=Tenant("a"), id=RequestId("r"), outcome="completed", status=200)
    assert status.encode(state).startswith(b'["terminal","a","r","completed",200,')
    assert Queued.__struct_fields__[:2] == Running.__struct_fields__[:2] == ("tenant", "id")


@given(st.text(), st.text(min_size=1))
def test_a_key_leads_to_one_of_the_fixed_partitions(tenant: str, request_id: str) -> None:
    key = status_key(Tenant(tenant), RequestId(request_id))
    assert 0 <= indexed_partition(key) < INDEXED_PARTITIONS


@given(st.integers(0, 15), st.integers(0, 2**62))
def test_the_place_of_a_claim_gives_an_id_of_its_own(partition: int, offset: int) -> None:
    request_id = claims.claimed_id(partition, offset)
    assert uuid.UUID(request_id).version == 5
    assert request_id == claims.claimed_id(partition, offset)
    assert request_id != claims.claimed_id(partition, offset + 1)


def test_ids_of_claims_never_change() -> None:
    assert claims.claimed_id(3, 17) == "5e5f52ae-b7e6-5155-8f07-977b06de0de1"


@given(CLAIM_ENTRIES)
def test_equal_requests_meet_under_one_key(entry: claims.Entry) -> None:
    key = claims.entry_key(entry)
    if isinstance(entry, claims.Claim):
        assert key == claims.claim_key(entry.tenant, entry.key)
    else:
        assert key == claims.orphan_key(entry.tenant, Endpoint(entry.endpoint), entry.digest)
