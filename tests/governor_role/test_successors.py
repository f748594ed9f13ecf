"""Owners that are killed or frozen on a real Kafka: their successor knows what was sent before it."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from headrace.cli.localkafka import LocalKafka
from support.asker import Asker
from support.eventually import eventually
from support.governing import Governed, governors

LONG = 15.0
"""Longer than a takeover takes: whoever forgets what was sent before would exceed the limit."""


@pytest_asyncio.fixture
async def governed(kafka: LocalKafka, topic_prefix: str) -> AsyncIterator[Governed]:
    """A limit that is used up within its window."""
    where = Governed(kafka.bootstrap, topic_prefix, requests=60, window_s=LONG)
    await where.create_topics()
    yield where


async def test_a_killed_owner_is_succeeded_by_one_that_knows_what_was_sent(
    governed: Governed, tmp_path: Path
) -> None:
    async with (
        governors(governed, tmp_path, 2) as (owner, standby),
        Asker(governed.bootstrap, governed.topics) as asker,
    ):
        await eventually(lambda: len(asker.spends) >= 50, within_s=60)
        owner.child.signal(signal.SIGKILL)
        await eventually(standby.owns)
        await eventually(lambda: len(asker.spends) >= 90, within_s=60)
        # Else it would have found nothing in the log, and let the dispatcher's credits run out.
        assert await standby.metric("headrace_governor_strangers_total") == 0
    assert asker.most_in(LONG) <= 60


async def test_an_owner_that_was_frozen_changes_nothing_when_it_thaws(
    governed: Governed, tmp_path: Path
) -> None:
    async with (
        governors(governed, tmp_path, 2) as (owner, standby),
        Asker(governed.bootstrap, governed.topics) as asker,
    ):
        await eventually(lambda: len(asker.spends) >= 50, within_s=60)
        owner.child.signal(signal.SIGSTOP)
        await eventually(standby.owns)
        owner.child.signal(signal.SIGCONT)
        await eventually(lambda: owner.told("governor_resigns"))
        await eventually(lambda: len(asker.spends) >= 90, within_s=60)
        assert await standby.owns()
        assert not await owner.owns()
    assert asker.most_in(LONG) <= 60
