"""Commands that write to a Kafka which takes their records and never says so."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import pytest
from aiokafka import AIOKafkaProducer

from headrace.cli import cancel_command
from headrace.cli.cancel_command import cancels_of, write_cancels
from headrace.cli.dlq import replays
from headrace.cli.dlq.replays import Plan, Replay, open_replayer
from headrace.cli.dlq.shelf import Record
from headrace.cli.localkafka import LocalKafka
from headrace.cli.settings import desk
from headrace.cli.settings.pause_command import set_pause
from headrace.cli.topics import admin
from headrace.cli.topics.command import read_changes
from headrace.cli.topics.errors import KafkaUnreachable
from headrace.schemas.config.load import load
from headrace.schemas.config.model import Config
from headrace.schemas.letters import Letter
from headrace.schemas.names import DEFAULT_TENANT, LaneName, RequestId
from headrace.schemas.retries import Source
from headrace.schemas.settings import Pause, Scope, Verb
from support.dead_letters import config_file

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Mute(AIOKafkaProducer):  # type: ignore[misc]
    """Takes everything and acknowledges nothing; so it waits for ever when it is stopped."""

    async def start(self) -> None:
        """Connects to nothing."""

    async def send(self, *_: object, **__: object) -> "asyncio.Future[None]":
        return asyncio.get_running_loop().create_future()

    async def stop(self) -> None:
        self._closed = True
        await asyncio.get_running_loop().create_future()


async def pause(config: Config) -> None:
    wanted = Pause(version=1, verb=Verb.PAUSE, scope=Scope.TENANT, name="acme")
    await set_pause(config, wanted, None)


async def replay(config: Config) -> None:
    source = Source("t", 0, 0, b"k", 0)
    letter = Letter(
        id=RequestId("r1"), partition=0, offset=0, at_ms=0, reason="r", tenant="acme", model="m",
        lane=LaneName("standard"), kind="", reply_topic="", source=source, history=(), replays=0,
        size=2, headers=(),
    )  # fmt: skip
    record = cast("Record", type("Record", (), {"value": b"{}"}))
    async with open_replayer(config, Plan()) as replayer:
        await replayer.write([(Replay(letter, LaneName("standard"), "t", 0, None), record)])


async def cancel(config: Config) -> None:
    await write_cancels(config, cancels_of(config, DEFAULT_TENANT, [RequestId("r1")], 0))


async def test_a_write_without_an_acknowledgement_ends_and_says_that_it_may_take_effect(
    kafka: LocalKafka, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They waited for ever: for the acknowledgement, or for the producer to send what it still had."""
    config = load(config_file(tmp_path, kafka.bootstrap, topic_prefix), {})
    await read_changes(config, apply=True)
    for module in (cancel_command, replays, desk):
        monkeypatch.setattr(module, "AIOKafkaProducer", Mute)
    monkeypatch.setattr(admin, "STEP_LIMIT_S", 2.0)

    async def ended(command: Callable[[Config], Awaitable[None]]) -> None:
        with pytest.raises(KafkaUnreachable, match="may still take effect"):
            await command(config)

    async with asyncio.timeout(60):
        await asyncio.gather(*map(ended, (pause, replay, cancel)))
