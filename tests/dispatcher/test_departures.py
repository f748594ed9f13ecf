"""Waits that leave for a delay topic: none is given up since its partition goes elsewhere meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import cast

from prometheus_client import CollectorRegistry

from headrace.dispatcher.departures import Departures
from headrace.dispatcher.kafka.events import Events
from headrace.dispatcher.kafka.journals import JournalWriter
from headrace.dispatcher.kafka.outbox import Headers, Outbox
from headrace.dispatcher.kafka.replies import Replies
from headrace.dispatcher.kafka.states import States
from headrace.dispatcher.metrics import Metrics
from headrace.dispatcher.settle import Settlement
from headrace.dispatcher.story import Story
from headrace.dispatcher.tasks import Tasks
from headrace.dispatcher.tenure import Tenure
from headrace.dispatcher.waits import Waits
from headrace.schemas.config.model import DispatcherConfig
from headrace.schemas.headers import H
from headrace.schemas.journal import LOST, Work, decode
from headrace.schemas.names import DeploymentName
from headrace.schemas.topics import Topics
from headrace.telemetry.logs import get_log
from support.dispatch import APPENDED_MS, waiting
from support.eventually import eventually

ReadTo = Callable[[Tenure, int], Awaitable[None]]


class Written:
    """An outbox whose records are acknowledged at once."""

    def __init__(self) -> None:
        self.records: list[tuple[str, bytes, Headers]] = []

    async def send(
        self, topic: str, value: bytes, *, headers: Headers | None = None, **_: object
    ) -> SimpleNamespace:
        self.records.append((topic, value, headers or []))
        return SimpleNamespace(topic=topic, partition=0, offset=len(self.records) - 1)

    def delayed(self) -> list[int]:
        """When the records of the delay topics are due."""
        found = [headers for topic, _, headers in self.records if ".delay." in topic]
        return [int(dict(headers)[H.DUE_MS]) for headers in found]

    def ends(self) -> list[str]:
        """How offsets ended, by the journal."""
        entries = [decode(value) for topic, value, _ in self.records if ".journal." in topic]
        return [how for work in entries if isinstance(work, Work) for _, how in work.done]


def settling(outbox: Written, read_to: ReadTo) -> tuple[Settlement, JournalWriter]:
    """A settlement that writes to `outbox`."""
    journals = JournalWriter(cast("Outbox", outbox), 0, read_to)
    settlement = Settlement(
        topics=Topics("headrace."),
        outbox=cast("Outbox", outbox),
        bulk=cast("Outbox", outbox),
        replies=cast("Replies", None),
        states=cast("States", None),
        events=cast("Events", None),
        journals=journals,
        metrics=Metrics(CollectorRegistry()),
        ended=lambda _waiting: None,
        story=cast("Story", None),
        log=get_log(),
    )
    return settlement, journals


async def handed_over(*, certain: bool) -> list[str]:
    """How a wait ends whose partition is taken away while the journal is read back."""
    outbox, revoked = Written(), asyncio.Event()

    async def read_to(owner: Tenure, _offset: int) -> None:
        owner.resign()
        revoked.set()

    settlement, journals = settling(outbox, read_to)
    request = waiting()
    moving = asyncio.create_task(
        settlement.retry(request, due_ms=APPENDED_MS + 1_000, now_ms=APPENDED_MS, attempt=2)
    )
    await revoked.wait()
    assert not moving.done()
    request.tenure.certain = certain
    request.tenure.decided.set()
    await moving
    await journals.flush()
    assert len(outbox.delayed()) == certain
    return outbox.ends()


async def test_a_wait_is_handed_over_when_the_revoke_has_made_sure_that_successors_know() -> None:
    """It was given up before the revoke had come so far, and called at once by its successor."""
    assert await handed_over(certain=True) == ["delayed"]


async def test_a_wait_is_given_up_when_successors_may_not_know_of_it() -> None:
    assert await handed_over(certain=False) == [LOST]


async def test_what_is_barred_everywhere_is_not_sent_on_as_due_now() -> None:
    outbox = Written()

    async def read_to(_owner: Tenure, _offset: int) -> None:
        """All is read."""

    settlement, _ = settling(outbox, read_to)
    failed: list[BaseException] = []
    departures = Departures(settlement, Waits(DispatcherConfig()), Tasks(failed.append))
    request = waiting()
    request.due_ms = APPENDED_MS
    request.barred = {DeploymentName("east"): APPENDED_MS + 60_000}
    departures.start(request, APPENDED_MS)
    await eventually(outbox.delayed)
    assert (outbox.delayed(), failed) == ([APPENDED_MS + 60_000], [])
