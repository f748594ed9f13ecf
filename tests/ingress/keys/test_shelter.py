import pytest

from headrace.ingress.keys import shelter as room
from headrace.ingress.keys.shelter import Shelter
from headrace.schemas.errors import Code
from headrace.schemas.names import InstanceId, RequestId, Tenant
from headrace.schemas.replies import Cancel, Reply

ID = RequestId("r1")
CANCEL = Cancel(ID, 90_000, Tenant("acme"))
TAKER = InstanceId("taker")


def final(body: bytes = b"{}", part: tuple[int, int] = (1, 1)) -> Reply:
    return Reply(id=ID, body=body, final=True, part=part)


def sheltering() -> Shelter:
    shelter = Shelter()
    shelter.take_in(CANCEL, until=10.0)
    return shelter


def test_a_repeat_gets_what_came_while_nobody_waited() -> None:
    shelter = sheltering()
    chunk = Reply(id=ID, body=b"data: 1\n\n")
    assert shelter.deliver(chunk) is None
    assert shelter.deliver(final()) is None
    assert shelter.adopt(ID) == [chunk, final()]
    assert (len(shelter), shelter.held_bytes) == (0, 0)


def test_a_reply_of_a_stranger_is_not_taken() -> None:
    shelter = sheltering()
    shelter.deliver(Reply(id=RequestId("stranger"), body=b"x"))
    assert shelter.adopt(ID) == []


def test_nobody_came_so_the_request_is_cancelled_after_the_grace() -> None:
    shelter = sheltering()
    shelter.deliver(final())
    assert shelter.sweep(9.9) == []
    assert shelter.sweep(10.0) == [CANCEL]
    assert (shelter.sweep(10.0), shelter.held_bytes) == ([], 0)


def test_replies_follow_the_repeat_to_another_replica_until_the_final() -> None:
    shelter = sheltering()
    shelter.deliver(final(b"1", (1, 3)))
    assert shelter.send_on(ID, TAKER, until=100.0) == [final(b"1", (1, 3))]
    assert shelter.deliver(final(b"2", (2, 3))) == TAKER
    assert shelter.deliver(final(b"3", (3, 3))) == TAKER
    assert shelter.deliver(final(b"3", (3, 3))) is None
    assert len(shelter) == 0


def test_an_answer_that_is_there_already_is_sent_on_at_once() -> None:
    shelter = sheltering()
    shelter.deliver(final())
    assert shelter.send_on(ID, TAKER, until=100.0) == [final()]
    assert len(shelter) == 0


def test_a_request_that_was_sent_on_is_not_cancelled_here() -> None:
    shelter = sheltering()
    shelter.send_on(ID, TAKER, until=100.0)
    assert shelter.sweep(99.0) == []
    assert (shelter.sweep(100.0), len(shelter)) == ([], 0)


def test_without_room_whoever_takes_it_up_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MAX_BYTES", 10)
    shelter = sheltering()
    shelter.deliver(final(b"12345678", (1, 2)))
    shelter.deliver(final(b"12345678", (2, 2)))
    (lost,) = shelter.adopt(ID)
    assert (lost.code, lost.final, shelter.held_bytes) == (Code.REPLY_LOST, True, 0)
