"""Records, tenures and waiting requests for tests of the dispatcher's pure parts."""

from collections.abc import Collection

import msgspec

from headrace.dispatcher.intake import Unreadable, understand
from headrace.dispatcher.journal import JournalState
from headrace.dispatcher.tenure import Tenure
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.config.model import LaneConfig
from headrace.schemas.headers import H
from headrace.schemas.journal import InFlight, ProcessId, SessionId
from headrace.schemas.names import LaneName, ModelName
from headrace.schemas.records import Headers

LANE = LaneName("standard")
TOPIC = "headrace.requests.standard"
APPENDED_MS = 1_790_000_000_000
BODY = b'{"model":"m","messages":[]}'
HOUR = LaneConfig(deadline_s=3600)


class Record(msgspec.Struct, kw_only=True):
    """What a consumer gives; aiokafka's record has these and more."""

    offset: int = 0
    headers: Headers = ()
    value: bytes | None = BODY
    key: bytes | None = b"k"
    topic: str = TOPIC
    partition: int = 0
    timestamp: int = APPENDED_MS


def session(process: str, number: int = 1) -> SessionId:
    """A session of `process`."""
    return SessionId(f"{process}.{number}")


def process(name: str) -> ProcessId:
    """A process by its name."""
    return ProcessId(name)


def tenure(
    *,
    position: int = 0,
    of: SessionId | None = None,
    lane: LaneName = LANE,
    delay_ms: int = 0,
    done: Collection[int] = (),
    elders: Collection[InFlight] = (),
    lost: dict[int, int] | None = None,
    inherited: JournalState | None = None,
    careful_until: int = 0,
    epoch: int = 0,
) -> Tenure:
    """A tenure of partition 0 of a lane, after earlier owners of whom `inherited` or the rest tells."""
    past = inherited or JournalState()
    if inherited is None:
        past.done, past.in_flight = set(done), {call.offset: call for call in elders}
        past.lost = lost or {}
    return Tenure(
        topic=TOPIC,
        partition=0,
        journal="headrace.journal.standard",
        lane=lane,
        delay_ms=delay_ms,
        session=of or session("own"),
        epoch=epoch,
        position=position,
        inherited=past,
        careful_until=careful_until,
    )


def read(record: Record, owner: Tenure | None = None) -> Waiting | Unreadable:
    """What the dispatcher makes of `record`."""
    return understand(record, owner or tenure(), HOUR)


def waiting(
    *,
    lane: LaneName = LANE,
    model: str = "m",
    size: int = 1,
    owner: Tenure | None = None,
    offset: int = 0,
    tenant: str = "default",
) -> Waiting:
    """A request that waits, by default of a tenure of its own."""
    headers = ((H.TENANT.value, tenant.encode()),)
    request = read(Record(offset=offset, headers=headers), owner or tenure(lane=lane))
    assert isinstance(request, Waiting)
    request.lane, request.model, request.size = lane, ModelName(model), size
    return request
