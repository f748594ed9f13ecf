"""Taking partitions over: CLAIM, read what earlier owners did, and begin where they stopped."""

import asyncio
from collections.abc import Callable
from itertools import count

import msgspec
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata

from headrace.dispatcher.journal import JournalState, open_at
from headrace.dispatcher.kafka.follower import Follower
from headrace.dispatcher.kafka.journals import JournalWriter
from headrace.dispatcher.tenure import SourceRecord, Tenure
from headrace.schemas.journal import SNAP, Claim, ProcessId, SessionId, decode
from headrace.schemas.names import LaneName
from headrace.schemas.topics import Topics
from headrace.telemetry.logs import Log

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
        if self.tenure is not None and self._own in value[:128] and not value.startswith(SNAP):
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
        admin: AIOKafkaAdminClient,
        freed: Freed,
        log: Log,
    ) -> None:
        self._process = process
        self._topics = topics
        self._journals = journals
        self._follower = follower
        self._admin = admin
        self._freed = freed
        self._log = log
        self._sessions = count(1)

    async def claim(
        self, group: str, sources: dict[TopicPartition, tuple[LaneName, int]]
    ) -> dict[TopicPartition, Tenure]:
        """Claim each source (its lane and constant delay); the position is the tenure's next offset."""
        readings = {tp: self._reading() for tp in sources}
        epochs = await asyncio.gather(*(self._append_claim(tp, r) for tp, r in readings.items()))
        committed = await self._admin.list_consumer_group_offsets(group, partitions=list(sources))
        starts = {}
        for (tp, reading), epoch in zip(readings.items(), epochs, strict=True):
            start, owner = open_at(_bookmark(committed.get(tp)))
            reading.state = JournalState(owner)
            starts[self._journal(tp)] = (start, epoch + 1, reading.take)
        await self._follower.follow(starts)
        return {
            tp: self._tenure(tp, readings[tp], committed.get(tp), *sources[tp]) for tp in sources
        }

    def forget(self, tenures: list[Tenure]) -> None:
        """Follow the journals of these no longer."""
        self._follower.unfollow([TopicPartition(t.journal, t.partition) for t in tenures])

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
        committed: OffsetAndMetadata | None,
        lane: LaneName,
        delay_ms: int,
    ) -> Tenure:
        state = reading.state
        running, lost = state.unfinished()
        reading.tenure = Tenure(
            topic=tp.topic,
            partition=tp.partition,
            journal=self._topics.journal(tp.topic),
            lane=lane,
            delay_ms=delay_ms,
            session=reading.session,
            position=max(0 if committed is None else committed.offset, state.watermark, 0),
            done=state.done,
            elders=running,
            lost=lost,
            # Another may have claimed since, while this session was still reading.
            owned=state.owner == reading.session,
            followed=reading.followed,
            bookmark=_bookmark(committed),
        )
        return reading.tenure


def _bookmark(committed: OffsetAndMetadata | None) -> str:
    return "" if committed is None else committed.metadata
