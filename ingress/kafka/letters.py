"""Records of inboxes that are not written on, kept as dead letters.

Their producers may have compressed them: small in the inbox, far more than a record may be when
unpacked. So letters are compressed too, and the client's own limit is that of the whole batch.
"""

import asyncio
from typing import Any

from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

from headrace.ingress.intake.check import InboxRecord, Rejected
from headrace.ingress.kafka.connect import started
from headrace.ingress.kafka.producer import Producer
from headrace.schemas.retries import Source, dead_letter_headers
from headrace.schemas.topics import MAX_PACKED_BYTES
from headrace.telemetry.logs import Log

REJECTED = "rejected_record"
"""The reason by which operators find these dead letters."""


class Letters:
    """One compressing producer. Not idempotent: a refused letter would be a gap in its sequence, and
    fail all that come after it; a letter that is written twice does no harm.
    """

    def __init__(self, options: dict[str, Any], name: str, topic: str, log: Log) -> None:
        self._producer = Producer(
            options,
            name=f"{name}-intake-letters",
            compression="zstd",
            max_record=MAX_PACKED_BYTES,
            idempotent=False,
        )
        self._topic = topic
        self._log = log

    async def open(self) -> None:
        """Connect. Raises `KafkaError`."""
        await started(self._producer.start())
        await self._producer.learn([self._topic])

    async def close(self) -> None:
        """Close; what has no ack is written again by whoever reads the inbox next."""
        await self._producer.abandon()

    async def bury(self, rejected: Rejected, written: InboxRecord, ack_s: float) -> None:
        """Keep a bad record, whole. One that is too large even when packed is logged: nothing else may
        wait for it. Raises `KafkaError` or `TimeoutError`, after `ack_s` without an ack.
        """
        source = Source(
            written.topic, written.partition, written.offset, written.key, written.timestamp
        )
        headers = dead_letter_headers(written.headers, source, reason=REJECTED, history=())
        try:
            async with asyncio.timeout(ack_s):
                ack = await self._producer.send(
                    self._topic, written.value, key=rejected.id.encode(), headers=headers
                )
                await ack
        except (MessageSizeTooLargeError, RecordListTooLargeError) as error:
            self._log.error(
                "dead_letter_undeliverable", topic=written.topic, partition=written.partition,
                offset=written.offset, request_id=rejected.id, reason=repr(error),
            )  # fmt: skip
