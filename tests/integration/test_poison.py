"""Records and topics that once stopped every dispatcher that met them: the lane goes on."""

import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from confluent_kafka import Producer

from support.eventually import eventually
from support.installation import Installation, Record, chat, header

pytestmark = pytest.mark.asyncio(loop_scope="session")

MEGABYTES = 6_000_000
"""Uncompressed, more than any topic of ours takes."""


async def out(running: Installation, partitions: int = 1) -> str:
    return await running.topic(f"out.{uuid.uuid4().hex}", partitions)


async def answers_after(running: Installation, partition: int) -> None:
    """The lane's partition goes on, on the process that was there before."""
    answers = await out(running)
    lane = running.topics.requests("standard")
    headers = {"reply-topic": answers.encode()}
    await running.produce(lane, chat("after"), headers=headers, partition=partition)
    (answer,) = await running.read(answers)
    assert header(answer, "headrace-outcome") == b"completed"


async def letter_of(running: Installation, request_id: bytes) -> Record:
    async def letters() -> list[Record]:
        every = await running.dump(running.topics.dead_letters)
        return [letter for letter in every if letter.key == request_id]

    (letter,) = await eventually(letters, within_s=40, every_s=1)
    return letter


def produce_compressed(
    running: Installation, body: bytes, headers: list[tuple[str, bytes]], partition: int
) -> None:
    """As a client does that compresses: small in the topic, large when read."""
    producer = Producer(
        {
            "bootstrap.servers": running.bootstrap,
            "compression.type": "gzip",
            "message.max.bytes": 2 * MEGABYTES,
        }
    )
    lane = running.topics.requests("standard")
    producer.produce(lane, body, key=b"k", headers=headers, partition=partition)
    assert producer.flush(20) == 0


@pytest.mark.parametrize(
    ("name", "body", "reason"),
    [
        ("unreadable", b"\xff" * MEGABYTES, b"rejected_record"),
        ("failing", chat("x" * MEGABYTES, user="status=500"), b"attempts_exhausted"),
    ],
)
async def test_a_compressed_record_of_megabytes_becomes_a_whole_dead_letter(
    running: Installation, name: str, body: bytes, reason: bytes
) -> None:
    answers = await out(running)
    headers = [("reply-topic", answers.encode()), ("ce_id", name.encode())]
    produce_compressed(running, body, headers, partition=1)
    (answer,) = await running.read(answers, within_s=40)
    assert header(answer, "headrace-outcome") == b"dead_lettered"
    letter = await letter_of(running, name.encode())
    assert header(letter, "headrace-reason") == reason
    assert letter.value == body
    await answers_after(running, 1)


async def test_a_reply_topic_that_has_grown_is_written_to(running: Installation) -> None:
    """The producer knew the topic as it was, and an assertion of its library ended the process."""
    answers = await out(running)
    lane = running.topics.requests("standard")
    to = {"reply-topic": answers.encode()}
    await running.produce(lane, chat("one"), headers=to, partition=2)
    await running.read(answers)
    await _admin(running, lambda a: a.create_partitions({answers: NewPartitions(3)}))
    grown = {"reply-topic": answers.encode(), "reply-partition": b"2", "ce_id": b"grown"}
    await running.produce(lane, chat("two"), headers=grown, partition=2)
    await answers_after(running, 2)


async def test_a_reply_topic_that_is_deleted_during_the_call_holds_up_nothing(
    running: Installation,
) -> None:
    """Its final was sent for ever, and its offset held back all that came after it."""
    answers = await out(running)
    headers = {"reply-topic": answers.encode(), "ce_id": b"orphaned"}
    lane = running.topics.requests("standard")
    body = chat("slow", user="latency_ms=1500")
    await running.produce(lane, body, headers=headers, partition=3)
    await eventually(lambda: running.calls_with(body))
    await _admin(running, lambda a: a.delete_topics([answers]))
    letter = await letter_of(running, b"orphaned")
    assert header(letter, "headrace-reason") == b"reply_undeliverable"
    assert len(running.calls_with(body)) == 1


async def _admin(
    running: Installation, act: Callable[[AIOKafkaAdminClient], Awaitable[Any]]
) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=running.bootstrap)
    await admin.start()
    try:
        await act(admin)
    finally:
        await admin.close()
