"""How much of a partition may be read ahead."""

from typing import cast

from prometheus_client import CollectorRegistry

from headrace.dispatcher.arrivals import Arrivals
from headrace.dispatcher.attempt import Attempts
from headrace.dispatcher.breakers.board import Breakers
from headrace.dispatcher.calls import Calls
from headrace.dispatcher.fleet import Fleet
from headrace.dispatcher.kafka.sources import AllSources
from headrace.dispatcher.loop import Dispatcher
from headrace.dispatcher.metrics import Metrics
from headrace.dispatcher.operated import Operated
from headrace.dispatcher.parking import Parking
from headrace.dispatcher.recovery import Recovery
from headrace.dispatcher.seats import Seats
from headrace.dispatcher.settle import Settlement
from headrace.dispatcher.tenure import Tenure
from headrace.dispatcher.waiting import Waiting
from headrace.dispatcher.waits import DELAY_BYTES
from headrace.schemas.config.model import Config
from headrace.telemetry.logs import get_log
from support.dispatch import APPENDED_MS, Record, process, tenure
from support.dispatch import read as understood

BODY = b'{"model":"m","messages":[],"pad":"%s"}' % (b"x" * (DELAY_BYTES // 4))


class Now:
    """A clock that stands."""

    def now_ms(self) -> int:
        return APPENDED_MS

    def monotonic(self) -> float:
        return 0.0


def dispatcher(**settings: int) -> Dispatcher:
    """A dispatcher that nothing is asked of but to read."""
    upstream = {"base_url": "http://127.0.0.1:1/v1"}
    config = Config.model_validate(
        {
            "dispatcher": settings,
            "deployments": [{"name": "east", "model": "m", "upstream": upstream}],
        }
    )
    return Dispatcher(
        config,
        sources=cast("AllSources", None),
        attempts=cast("Attempts", None),
        calls=cast("Calls", None),
        settlement=cast("Settlement", None),
        arrivals=cast("Arrivals", None),
        recovery=cast("Recovery", None),
        parking=cast("Parking", None),
        seats=Seats(config.deployments),
        breakers=Breakers(config, process("own")),
        fleet=Fleet(process("own")),
        metrics=Metrics(CollectorRegistry()),
        clock=Now(),
        operated=Operated(get_log()),
    )


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
