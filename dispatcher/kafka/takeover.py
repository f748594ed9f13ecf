"""Taking partitions over: CLAIM, read what earlier owners did, and begin where they stopped."""

import asyncio
from collections.abc import Callable
from itertools import count

import msgspec
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata

from headrace.dispatcher.journal import JournalState, open_at
from headrace.dispatcher.kafka.follower import Follower, Take
from headrace.dispatcher.kafka.journals import JournalWriter
from headrace.dispatcher.kafka.sourcelogs import SourceLog, SourceLogs
from headrace.dispatcher.metrics import Metrics
from headrace.dispatcher.source_record import SourceRecord
from headrace.dispatcher.tenure import Tenure
from headrace.schemas.journal import WORK, Claim, ProcessId, SessionId, decode
from headrace.schemas.names import LaneName
from headrace.schemas.topics import Topics
from headrace.telemetry.logs import Log

READ_AT_ONCE = 500
"""Offsets beyond what it told that an owner may have read before it died."""

Freed = Callable[[Tenure, list[SourceRecord]], None]


class _Reading:
    """The journal of one partition: folded up to the own CLAIM, then told to the tenure."""

    def __init__(self, session: SessionId, freed: Freed, log: Log) -> None:
        self.session = session
        self.state = JournalState()
        self.followed = 0
        self.tenure: Tenure | None = None
        self._freed = freed
        self._log = log
        self._own = f'"{session}"'.encode()

    def take(self, record: "ConsumerRecord[bytes, bytes]") -> None:
        self.followed = record.offset + 1
        value = record.value or b""
        tenure = self.tenure
        if tenure is not None and value.startswith(WORK) and self._own in value[:128]:
            if tenure.owned:
                tenure.followed = self.followed
            return
        try:
            entry = decode(value)
        except msgspec.MsgspecError as error:
            self._log.error(
                "journal_entry_unreadable",
                topic=record.topic,
                offset=record.offset,
                code=str(error),
            )
            return
        if self.tenure is None:
            self.state.apply(entry)
            return
        freed = self.tenure.follow(entry, record.offset)
        if freed:
            self._freed(self.tenure, freed)


class Takeover:
    """Makes tenures. One per process."""

    def __init__(
        self,
        *,
        process: ProcessId,
        topics: Topics,
        journals: JournalWriter,
        follower: Follower,
        reader: Follower,
        admin: AIOKafkaAdminClient,
        freed: Freed,
        metrics: Metrics,
        log: Log,
    ) -> None:
        """`reader` reads the past of a journal, at once; `follower` what comes after it."""
        self._metrics = metrics
        self._process = process
        self._topics = topics
        self._journals = journals
        self._follower = follower
        self._admin = admin
        self._reader = reader
        self._logs = SourceLogs(reader)
        self._freed = freed
        self._log = log
        self._sessions = count(1)

    async def claim(
        self, group: str, sources: dict[TopicPartition, tuple[LaneName, int]]
    ) -> dict[TopicPartition, Tenure]:
        """Claim each source (its lane and constant delay); the position is the tenure's next offset."""
        began_s = asyncio.get_running_loop().time()
        readings = {tp: self._reading() for tp in sources}
        epochs = await asyncio.gather(*(self._append_claim(tp, r) for tp, r in readings.items()))
        committed = await self._admin.list_consumer_group_offsets(group, partitions=list(sources))
        starts: dict[TopicPartition, tuple[int, int, Take]] = {}
        for (tp, reading), epoch in zip(readings.items(), epochs, strict=True):
            start, owner = open_at(_bookmark(committed.get(tp)), epoch)
            reading.state = JournalState(owner)
            starts[self._journal(tp)] = (start, epoch + 1, reading.take)
        await self._reader.follow(starts)
        self._reader.unfollow(list(starts))
        # The reader may have gone beyond the own CLAIM.
        onwards = {self._journal(tp): (r.followed, 0, r.take) for tp, r in readings.items()}
        await self._follower.follow(onwards)
        logs = await self._logs.examine(
            {tp: reading.state.passed for tp, reading in readings.items()}
        )
        tenures = {
            tp: self._tenure(
                tp, readings[tp], epochs[at], committed.get(tp), logs[tp], *sources[tp]
            )
            for at, tp in enumerate(sources)
        }
        for tp, tenure in tenures.items():
            if logs[tp].other:
                # At once, so that a successor does not take the old topic's offsets for these.
                self._journals.want_snap(tenure)
        await self._journals.flush()
        self._metrics.recovery.set(asyncio.get_running_loop().time() - began_s)
        return tenures

    async def tell_gap(self, tenure: Tenure, expected: int) -> None:
        """A record came that does not follow the one before; where that is no gap, records were lost."""
        tp = TopicPartition(tenure.topic, tenure.partition)
        try:
            first, _ = (await self._reader.bounds([tp]))[tp]
        except KafkaError as error:
            self._log.warning("gap_unexplained", topic=tp.topic, code=type(error).__name__)
            return
        if first > expected:
            self.tell_lost(tp, expected, first)

    def tell_lost(self, tp: TopicPartition, first: int, end: int) -> None:
        """Records from `first` up to `end`, exclusive, are gone, and nobody has read them."""
        self._metrics.records_lost.inc(end - first)
        self._log.error(
            "records_lost", topic=tp.topic, partition=tp.partition, first=first, last=end - 1
        )

    async def read_out(self, tenures: list[Tenure]) -> None:
        """Read the journals of these to what they wrote last; they are followed no longer."""
        written = {TopicPartition(t.journal, t.partition): t.written + 1 for t in tenures}
        ended = self._follower.unfollow(list(written))
        await self._reader.follow(
            {tp: (start, written[tp], take) for tp, (start, take) in ended.items()}
        )
        self._reader.unfollow(list(written))

    def forget(self, tenures: list[Tenure]) -> None:
        """Follow the journals of these no longer."""
        partitions = [TopicPartition(t.journal, t.partition) for t in tenures]
        self._follower.unfollow(partitions)
        self._reader.unfollow(partitions)

    def _reading(self) -> _Reading:
        session = SessionId(f"{self._process}.{next(self._sessions)}")
        return _Reading(session, self._freed, self._log)

    async def _append_claim(self, tp: TopicPartition, reading: _Reading) -> int:
        claim = Claim(reading.session, self._process)
        return await self._journals.claim(self._topics.journal(tp.topic), tp.partition, claim)

    def _journal(self, tp: TopicPartition) -> TopicPartition:
        return TopicPartition(self._topics.journal(tp.topic), tp.partition)

    def _tenure(
        self,
        tp: TopicPartition,
        reading: _Reading,
        epoch: int,
        committed: OffsetAndMetadata | None,
        log: SourceLog,
        lane: LaneName,
        delay_ms: int,
    ) -> Tenure:
        state = reading.state
        owned = state.owner == reading.session
        known = max(0 if committed is None else committed.offset, state.watermark)
        if log.other or known > log.end:
            self._log.error(
                "topic_created_anew", topic=tp.topic, partition=tp.partition, offset=known
            )
            log.other = True
            state, known = JournalState(reading.session), log.first
        elif known < log.first and (known or state.passed is not None):
            self.tell_lost(tp, known, log.first)
        reading.tenure = Tenure(
            topic=tp.topic,
            partition=tp.partition,
            journal=self._topics.journal(tp.topic),
            lane=lane,
            delay_ms=delay_ms,
            session=reading.session,
            epoch=epoch,
            position=max(known, log.first),
            inherited=state,
            # Another may have claimed since, while this session was still reading.
            owned=owned,
            followed=reading.followed,
            bookmark=_bookmark(committed),
            careful_until=min(log.end, max(state.read_to, known) + READ_AT_ONCE)
            if state.unclean
            else 0,
        )
        return reading.tenure


def _bookmark(committed: OffsetAndMetadata | None) -> str:
    return "" if committed is None else committed.metadata
