"""How much of a partition may be read ahead."""

from headrace.dispatcher.loop import Dispatcher
from headrace.dispatcher.tenure import Tenure
from headrace.dispatcher.waiting import Waiting
from headrace.dispatcher.waits import DELAY_BYTES
from support.dispatch import APPENDED_MS, Record, tenure
from support.dispatch import read as understood
from support.reader import dispatcher

BODY = b'{"model":"m","messages":[],"pad":"%s"}' % (b"x" * (DELAY_BYTES // 4))


def read(reader: Dispatcher, owner: Tenure, count: int) -> None:
    for offset in range(count):
        accept(reader, owner, Record(offset=offset, value=BODY))


def accept(reader: Dispatcher, owner: Tenure, record: Record) -> None:
    owner.admit(record)
    request = understood(record, owner)
    assert isinstance(request, Waiting)
    reader._accept(request)


def test_a_delay_partition_is_bounded_by_bytes_too() -> None:
    """A thousand records of 4 MiB from each of its partitions could wait in memory."""
    reader, owner, other = dispatcher(), tenure(delay_ms=600_000), tenure(delay_ms=600_000)
    read(reader, owner, 3)
    assert reader.room(owner)
    accept(reader, owner, Record(offset=3, value=BODY))
    assert not reader.room(owner)
    assert reader.room(other)


def test_waiting_records_of_delay_topics_leave_room_for_retries_in_memory() -> None:
    """Both were counted together: then each rest of a wait went once more through a delay topic."""
    reader = dispatcher(memory_retries=2)
    owner = tenure(delay_ms=600_000)
    for offset in range(5):
        accept(reader, owner, Record(offset=offset))
    (waiting,) = reader._waits.take(lambda one: one.offset == 0)
    assert reader._wait_here(waiting, APPENDED_MS + 500)
