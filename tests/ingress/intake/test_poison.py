"""Records of an inbox that once stopped the intake, or the whole process: all others go on."""

import asyncio
import contextlib
from http import HTTPStatus
from typing import Any

import httpx
import pytest
from aiokafka.producer import message_accumulator, producer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from structlog.testing import capture_logs

from headrace.ingress.kafka import inbox
from headrace.ingress.kafka.inbox import keep_up
from headrace.schemas.names import Tenant
from headrace.telemetry.logs import get_log
from support.eventually import eventually

BODY = b'{"model":"small","messages":[{"role":"user","content":"hi"}]}'
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
