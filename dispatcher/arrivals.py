"""What becomes of a record that was read: most are understood and queued, some are looked at first.

Not run are: a record of an older time of the same request (a hand-over that does not count, a repeated
id), a mark, and one that cannot be read. What a crash left is `recovery`'s.
"""

from collections.abc import Callable, Coroutine, Sequence

from headrace.dispatcher.intake import Unreadable, same_request, understand, unseen
from headrace.dispatcher.kafka.journals import JournalWriter
from headrace.dispatcher.metrics import Metrics
from headrace.dispatcher.ports import Clock
from headrace.dispatcher.recovery import Recovery
from headrace.dispatcher.seen import Sight
from headrace.dispatcher.settle import Settlement
from headrace.dispatcher.source_record import SourceRecord
from headrace.dispatcher.tenure import Tenure
from headrace.dispatcher.verdicts import Reason
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.config.model import Config
from headrace.schemas.errors import Code
from headrace.schemas.handover import mark_of, origin
from headrace.schemas.headers import H
from headrace.schemas.journal import counts
from headrace.schemas.names import RequestId, Tenant

Spawn = Callable[[Coroutine[None, None, None]], None]
_ORIGINS = frozenset({H.HANDED_ON_FROM.value, H.PARKED_FROM.value})
_NOBODY = Tenant("")


class Arrivals:
    """Takes records in. One per process."""

    def __init__(
        self,
        config: Config,
        *,
        recovery: Recovery,
        settlement: Settlement,
        journals: JournalWriter,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._lanes = config.lanes
        self._recovery = recovery
        self._settlement = settlement
        self._journals = journals
        self._metrics = metrics
        self._clock = clock

    def take(
        self,
        tenure: Tenure,
        records: Sequence[SourceRecord],
        accept: Callable[[Waiting], None],
        spawn: Spawn,
    ) -> None:
        """Take records in; `accept` gets the requests that are to run, at once or later."""

        def understood(tenure: Tenure, record: SourceRecord, request: Waiting | Unreadable) -> None:
            self._understood(tenure, record, request, accept, spawn)

        lane = self._lanes[tenure.lane]
        for record in records:
            if not tenure.owned:
                return
            if not tenure.admit(record):
                # Done or held: its id counts as seen all the same.
                if tenure.delay_ms:
                    _same_hand_over(tenure, record)
                else:
                    same_request(record, tenure.seen)
            elif tenure.delay_ms and self._is_past(tenure, record):
                continue
            elif tenure.suspicious(record.offset):
                self._recovery.take(tenure, record, understood, spawn)
            else:
                understood(tenure, record, understand(record, tenure, lane))

    def _is_past(self, tenure: Tenure, record: SourceRecord) -> bool:
        """A mark, a hand-over of somebody who had been replaced, or one that was written twice."""
        mark = mark_of(record.headers, record.offset)
        if mark is not None:
            self._journals.marked(tenure, mark, self._clock.now_ms())
            return True
        twice = _same_hand_over(tenure, record)
        if twice and record.offset not in tenure.lost:
            # Its producer died before it knew that the first one was written.
            self._metrics.duplicates.inc()
            self._journals.finished(tenure, record.offset, "duplicate")
            return True
        if not tenure.marks:
            return False
        was = origin(record.headers)
        if was is None or counts(tenure.marks.of(was.place), was.session, record.offset):
            return False
        self._metrics.fenced.inc()
        self._journals.finished(tenure, record.offset, "fenced")
        return True

    def _understood(
        self,
        tenure: Tenure,
        record: SourceRecord,
        request: Waiting | Unreadable,
        accept: Callable[[Waiting], None],
        spawn: Spawn,
    ) -> None:
        if isinstance(request, Unreadable):
            self._settlement.begin_rejection(tenure, record)
            spawn(self._settlement.reject(tenure, record, request))
            return
        if not tenure.delay_ms and record.offset not in tenure.lost:
            known = request.record
            match tenure.seen.look(known.tenant, known.id, known.replays, known.body):
                case Sight.SAME:
                    self._metrics.duplicates.inc()
                    self._journals.finished(tenure, record.offset, "duplicate")
                    return
                case Sight.OTHER_BODY:
                    self._refuse(tenure, record, spawn)
                    return
        accept(request)

    def _refuse(self, tenure: Tenure, record: SourceRecord, spawn: Spawn) -> None:
        message = "another request of this tenant had the same id and another body"
        refused = unseen(record, Code.IDEMPOTENCY_MISMATCH, message, Reason.IDEMPOTENCY_MISMATCH)
        self._settlement.begin_rejection(tenure, record)
        spawn(self._settlement.reject(tenure, record, refused))


def _same_hand_over(tenure: Tenure, record: SourceRecord) -> bool:
    """Whether a hand-over of the same attempt, from the same place and session, was read before."""
    told = [value for name, value in record.headers if name in _ORIGINS]
    if not told:
        return False
    return tenure.seen.look(_NOBODY, RequestId(repr(told)), 0, b"") is not Sight.NEW
