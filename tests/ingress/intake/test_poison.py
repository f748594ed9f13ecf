"""Records of an inbox that once stopped the intake, or the whole process: all others go on."""

import asyncio
import contextlib
from http import HTTPStatus
from typing import Any

import httpx
import pytest
from aiokafka.producer import message_accumulator, producer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from confluent_kafka import Producer
from structlog.testing import capture_logs

from headrace.ingress.kafka import inbox, letters
from headrace.ingress.kafka.inbox import keep_up
from headrace.schemas.names import Tenant
from headrace.telemetry.logs import get_log
from support.eventually import eventually

BODY = b'{"model":"small","messages":[{"role":"user","content":"hi"}]}'
MEGABYTES = 6_000_000
"""Uncompressed, more than any topic of ours takes."""
TWO = {"acme": {"inbox": True}, "other": {"inbox": True}}


class NoUtf8(str):
    """A header name as other clients may write it."""

    __slots__ = ()

    def encode(self, *_: object, **__: object) -> bytes:
        return b"\xff\xfe"


async def test_a_header_name_that_is_no_utf8_stops_its_partition_and_no_other(
    start_intake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with capture_logs() as logs:
        post = await start_intake(tenants=TWO)
        with monkeypatch.context() as patch:
            # The compiled one takes nothing but real strings.
            for module in (producer, message_accumulator):
                patch.setattr(module, "DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy)
            partition, offset = await post.write_to(post.inbox, BODY, [(NoUtf8("name"), b"x")])
        await post.write_to(post.topics.inbox(Tenant("other")), BODY, [])
        await post.read(post.topics.requests("standard"))
        told = await eventually(
            lambda: [one for one in logs if one["event"] == "partition_unreadable"]
        )
    assert {(one["topic"], one["partition"], one["offset"]) for one in told} == {
        (post.inbox, partition, offset)
    }
    async with httpx.AsyncClient() as http:
        assert (await http.get(f"{post.url}/readyz")).status_code == HTTPStatus.OK


@pytest.mark.parametrize(
    ("body", "header"),
    [(b"x" * MEGABYTES, b""), (BODY, b"x" * MEGABYTES)],
    ids=["body", "header"],
)
async def test_a_compressed_record_of_megabytes_is_one_whole_dead_letter_and_holds_up_nothing(
    start_intake: Any, body: bytes, header: bytes
) -> None:
    post = await start_intake()
    produce_compressed(post, [(body, [("ce_id", b"large"), ("mine", header)]), (BODY, [])])
    await post.read(post.topics.requests("standard"))
    await post.committed_to(2)
    (letter,) = await post.dump(post.topics.dead_letters)
    assert (letter.key, letter.value) == (b"large", body)
    assert dict(letter.headers)["mine"] == header
    (request,) = await post.dump(post.topics.requests("standard"))
    assert request.value == BODY


async def test_a_letter_that_is_too_large_even_when_packed_is_told_and_passed_over(
    start_intake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letters, "MAX_PACKED_BYTES", 1_000_000)
    with capture_logs() as logs:
        post = await start_intake()
        produce_compressed(post, [(b"x" * MEGABYTES, [("ce_id", b"large")]), (BODY, [])])
        await post.read(post.topics.requests("standard"))
        await post.committed_to(2)
    (told,) = [one for one in logs if one["event"] == "dead_letter_undeliverable"]
    assert (told["topic"], told["request_id"]) == (post.inbox, "large")
    assert await post.dump(post.topics.dead_letters) == []
    assert len(await post.dump(post.topics.requests("standard"))) == 1


def produce_compressed(post: Any, written: list[tuple[bytes, list[tuple[str, bytes]]]]) -> None:
    """Bodies and headers, in one partition of acme's inbox: small there, large when read."""
    sending = Producer(
        {
            "bootstrap.servers": post.config.kafka.bootstrap_servers[0],
            "compression.type": "gzip",
            "message.max.bytes": 2 * MEGABYTES,
        }
    )
    for body, headers in written:
        sending.produce(post.inbox, body, key=b"k", headers=headers, partition=1)
    assert sending.flush(20) == 0


async def test_no_fault_of_a_session_ends_the_intake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "PAUSE_S", 0.0)
    sessions = 0
    third = asyncio.Event()

    async def session() -> None:
        nonlocal sessions
        sessions += 1
        if sessions == 1:
            raise RuntimeError("a fault of ours")
        if sessions == 2:
            raise ExceptionGroup("of a task group", [ConnectionError("Kafka is away")])
        third.set()
        await asyncio.Event().wait()

    with capture_logs() as logs:
        task = asyncio.create_task(keep_up(session, get_log()))
        await third.wait()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert task.cancelled()
    assert [(one["event"], one["log_level"]) for one in logs] == [
        ("intake_failed", "error"),
        ("intake_interrupted", "warning"),
    ]
