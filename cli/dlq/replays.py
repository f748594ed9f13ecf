"""Replays: what is to be written for a letter (pure), and the writing of it."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.structs import RecordMetadata

from headrace.cli.dlq.shelf import Record, Shelf
from headrace.cli.topics.admin import STEP_LIMIT_S, bounded_write, troubles_told
from headrace.dispatcher.kafka.closing import end_producer
from headrace.ingress.ids import RANDOM_BITS, uuid7
from headrace.schemas.clock import BrokerClock
from headrace.schemas.config.clients import client_options
from headrace.schemas.config.model import Config
from headrace.schemas.headers import H
from headrace.schemas.letters import Anew, Letter, becomes_job, mark_headers, replay_headers
from headrace.schemas.names import Endpoint, Kind, LaneName, ModelName, RequestId, Tenant
from headrace.schemas.status import Queued, encode, indexed_partition, status_key
from headrace.schemas.topics import MAX_PACKED_BYTES, Topics, murmur2

SOURCE = b"headrace-dlq"


class Skipped(StrEnum):
    """Why a letter is not replayed."""

    HAS_OUTCOME = "has_outcome"
    """A job, keyed or resumable request: its first outcome stands, so nobody would see another."""
    UNKNOWN_LANE = "unknown_lane"
    """Its source topic is of no lane that is configured; `--lane` says where to."""
    INBOX = "inbox"
    """Refused at a tenant's inbox: what its headers claim would be believed on a lane."""
    SAME_REQUEST = "same_request"
    """Another letter of the same record is replayed: a crash had written it twice."""


_ENDPOINTS: dict[bytes | None, Endpoint] = {word.value.encode(): word for word in Endpoint}
HINTS = {
    Skipped.HAS_OUTCOME: "its owner has the outcome dead_lettered for good; use --new-id",
    Skipped.UNKNOWN_LANE: "its lane is not configured; use --lane",
    Skipped.INBOX: "refused at a tenant's inbox; the tenant writes it there again, corrected",
    Skipped.SAME_REQUEST: "the same record stands there twice",
}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How letters are replayed."""

    lane: LaneName | None = None
    """Another lane than the one it came from."""
    new_id: bool = False


class Replay(msgspec.Struct, frozen=True):
    """One replay: where to, under which id."""

    letter: Letter
    lane: LaneName
    topic: str
    partition: int | None
    """None: by key."""
    anew: Anew | None


def decide(letter: Letter, plan: Plan, shelf: Shelf, new: RequestId) -> Replay | Skipped:
    """What a replay of `letter` would be; `new` is its id, where the plan wants one."""
    if letter.kind and not plan.new_id:
        return Skipped.HAS_OUTCOME
    if letter.source.topic.startswith(shelf.topics.inbox(Tenant(""))):
        return Skipped.INBOX
    lane = plan.lane or letter.lane
    if lane is None or lane not in shelf.config.lanes:
        return Skipped.UNKNOWN_LANE
    topic = shelf.topics.requests(lane)
    stays = letter.source.topic == topic and letter.source.partition < shelf.partitions.get(
        topic, 0
    )
    anew = None
    if plan.new_id:
        results = shelf.topics.results
        count = max(1, shelf.partitions.get(results, 1))
        anew = Anew(new, results, murmur2(new.encode()) % count)
    return Replay(letter, lane, topic, letter.source.partition if stays else None, anew)


class Replayer:
    """Writes replays and their marks; see `open_replayer`."""

    def __init__(self, config: Config, plan: Plan, producer: AIOKafkaProducer) -> None:
        self._config = config
        self._topics = Topics(config.kafka.topic_prefix)
        self._plan = plan
        self._producer = producer
        # Until the first ack this host's clock serves.
        self._clock = BrokerClock(_now_ms() - time.time() * 1000)

    async def write(self, replays: Sequence[tuple[Replay, Record]]) -> None:
        """Write these, and a mark for each that Kafka has acknowledged. Raises the first `KafkaError`, or
        `TimeoutError`.

        A crash between replay and mark leaves a letter that looks as if nothing had happened: it
        may be replayed once more, never not at all.
        """
        writing = (self._replay(replay, record) for replay, record in replays)
        async with bounded_write():
            ends = await asyncio.gather(*writing, return_exceptions=True)
            for end in ends:
                if isinstance(end, BaseException):
                    raise end

    async def mark(self, letter: Letter) -> None:
        """Say that `letter` was replayed."""
        async with bounded_write():
            await self._mark(letter, None)

    async def _replay(self, replay: Replay, record: Record) -> None:
        now_ms = self._clock.now_ms(_now_ms())
        deadline_ms = now_ms + round(self._config.lanes[replay.lane].deadline_s * 1000)
        headers = replay_headers(
            replay.letter,
            self._topics,
            deadline_ms=deadline_ms,
            lane=self._plan.lane,
            anew=replay.anew,
        )
        ack = await self._send(replay, record.value, headers)
        accepted_ms = now_ms if ack.timestamp is None else ack.timestamp
        self._clock.observe(accepted_ms, _now_ms())
        if replay.anew is not None and becomes_job(replay.letter, self._topics):
            await self._queue(replay, replay.anew, accepted_ms, deadline_ms)
        await self._mark(replay.letter, replay.anew)

    async def _mark(self, letter: Letter, anew: Anew | None) -> None:
        await self._producer.send_and_wait(
            self._topics.dead_letters,
            None,
            key=letter.id.encode(),
            partition=letter.partition,
            headers=mark_headers(letter, SOURCE, anew.id if anew else None),
        )

    async def _send(
        self, replay: Replay, value: bytes | None, headers: list[tuple[str, bytes]]
    ) -> RecordMetadata:
        key = replay.letter.source.key
        if key is None and value is None:
            # aiokafka sends no such record by itself.
            batch = self._producer.create_batch()
            batch.append(timestamp=None, key=None, value=None, headers=headers)
            sent = await self._producer.send_batch(
                batch, replay.topic, partition=replay.partition or 0
            )
        else:
            sent = await self._producer.send(
                replay.topic, value, key=key, partition=replay.partition, headers=headers
            )
        ack: RecordMetadata = await sent
        return ack

    async def _queue(self, replay: Replay, anew: Anew, accepted_ms: int, deadline_ms: int) -> None:
        """The row by which the new job is found."""
        known = dict(replay.letter.headers)
        row = Queued(
            tenant=Tenant(replay.letter.tenant),
            id=anew.id,
            kind=Kind.JOB,
            model=ModelName(replay.letter.model),
            lane=replay.lane,
            endpoint=_ENDPOINTS.get(known.get(H.ENDPOINT), Endpoint.CHAT),
            stream=known.get(H.STREAM) == b"1",
            accepted_ms=accepted_ms,
            deadline_ms=deadline_ms,
            reply_partition=anew.partition,
        )
        key = status_key(row.tenant, row.id)
        await self._producer.send_and_wait(
            self._topics.status, encode(row), key=key, partition=indexed_partition(key)
        )


@asynccontextmanager
async def open_replayer(config: Config, plan: Plan) -> AsyncIterator[Replayer]:
    """Connect for writing. Errors: `TopicsError`."""
    producer = AIOKafkaProducer(
        **client_options(config.kafka),
        acks="all",
        enable_idempotence=True,
        compression_type="zstd",
        max_request_size=MAX_PACKED_BYTES,
    )
    with troubles_told(config.kafka):
        try:
            async with asyncio.timeout(STEP_LIMIT_S):
                await producer.start()
            yield Replayer(config, plan, producer)
        finally:
            await end_producer(producer)


def fresh_id() -> RequestId:
    """An id for a replay."""
    return uuid7(round(time.time() * 1000), secrets.randbits(RANDOM_BITS))


def _now_ms() -> float:
    return time.monotonic() * 1000
