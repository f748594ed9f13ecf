"""A partition that is lost between a decision and its act: nothing is begun that others begin too."""

from typing import cast

from prometheus_client import CollectorRegistry

from headrace.dispatcher.attempt import Attempts
from headrace.dispatcher.breakers.board import Breakers
from headrace.dispatcher.fleet import Fleet
from headrace.dispatcher.kafka.directory import Directory
from headrace.dispatcher.kafka.events import Events
from headrace.dispatcher.kafka.journals import JournalWriter
from headrace.dispatcher.kafka.outbox import Outbox
from headrace.dispatcher.kafka.replies import Replies
from headrace.dispatcher.kafka.states import States
from headrace.dispatcher.metrics import Metrics
from headrace.dispatcher.overheard import Overheard
from headrace.dispatcher.policy.ambiguous import AmbiguousPolicy
from headrace.dispatcher.ports import Call, CallEnd, Clock, Forward
from headrace.dispatcher.repeats import Repeats
from headrace.dispatcher.seats import Seats
from headrace.dispatcher.settle import Settlement
from headrace.dispatcher.story import Story
from headrace.dispatcher.tenure import Tenure
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.journal import Beat
from headrace.schemas.names import DeploymentName
from headrace.schemas.records import ReplyTo
from headrace.schemas.topics import Topics
from headrace.telemetry.logs import get_log
from support.dispatch import process, tenure, waiting
from support.reader import dispatcher


class Unwritable:
    """An outbox and an upstream that must not be used."""

    async def send(self, topic: str, *_: object, **__: object) -> None:
        raise AssertionError(f"wrote to {topic}")

    async def call(self, call: Call, forward: Forward) -> CallEnd:
        raise AssertionError(f"called for {call.id}")

    async def close(self) -> None:
        """Nothing is open."""


class Ticking(Clock):
    """A clock that is moved."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def now_ms(self) -> int:
        return int(self.now_s * 1000)

    def monotonic(self) -> float:
        return self.now_s


class SlowDirectory:
    """Takes so long to find a topic that the partition is lost meanwhile."""

    def __init__(self, owner: Tenure) -> None:
        self._owner = owner

    def knows(self, _address: ReplyTo) -> bool:
        return False

    async def exists(self, _address: ReplyTo) -> bool:
        self._owner.owned = False
        return True


async def unread(_tenure: Tenure, _offset: int) -> None:
    """The journal cannot be read."""
    raise AssertionError("read the journal")


def settlement(journals: JournalWriter, metrics: Metrics) -> Settlement:
    """A settlement that must not write."""
    return Settlement(
        topics=Topics("headrace."),
        outbox=cast("Outbox", Unwritable()),
        bulk=cast("Outbox", Unwritable()),
        replies=cast("Replies", None),
        states=cast("States", Unwritable()),
        events=cast("Events", None),
        journals=journals,
        metrics=metrics,
        ended=lambda _waiting: None,
        story=cast("Story", None),
        log=get_log(),
    )


def attempts_that_must_not_call(owner: Tenure) -> Attempts:
    """Attempts that look every address up, slowly."""
    metrics = Metrics(CollectorRegistry())
    journals = JournalWriter(cast("Outbox", Unwritable()), 0, unread)
    return Attempts(
        upstream=Unwritable(),
        repeats=Repeats({}),
        replies=cast("Replies", None),
        settlement=settlement(journals, metrics),
        journals=journals,
        metrics=metrics,
        clock=cast("Clock", None),
        seats=Seats([]),
        directory=cast("Directory", SlowDirectory(owner)),
        ambiguous=AmbiguousPolicy(),
        fleet=Fleet(process("own")),
        breakers=cast("Breakers", None),
        overheard=Overheard(),
    )


async def run(attempts: Attempts, request: Waiting) -> list[str]:
    """Make the attempt; what becomes of the request."""
    told: list[str] = []
    await attempts.run(
        request,
        DeploymentName("east"),
        freed=lambda: told.append("freed"),
        again=lambda _w, _at: False,
        back=lambda _w: told.append("back"),
    )
    return told


async def test_a_call_is_not_begun_when_the_partition_was_lost_after_the_decision() -> None:
    owner = tenure()
    request = waiting(owner=owner)
    owner.owned = False
    assert await run(attempts_that_must_not_call(owner), request) == ["freed", "back"]
    assert (request.started, owner.running) == (False, {})


def test_what_was_begun_is_given_up_where_its_partition_was_lost() -> None:
    """Nobody was told: its successor waited for it for as long as this process lived."""
    owner = tenure()
    request = waiting(owner=owner)
    journals = JournalWriter(cast("Outbox", Unwritable()), 0, unread)
    journals.started(owner, request.offset, 1)
    owner.owned = False
    reader = dispatcher(settlement(journals, Metrics(CollectorRegistry())))
    reader._take_back(request)
    assert owner.running == {}
    assert reader._queues.take(lambda _waiting: True) == []


async def test_a_repeat_is_not_begun_by_a_process_that_stood_still_meanwhile() -> None:
    """Others may have taken it for dead, and may have called."""
    owner = tenure()
    request = waiting(owner=owner)
    request.first_call_ms = 1
    attempts, clock = attempts_that_must_not_call(owner), Ticking()
    attempts._clock = clock
    attempts._fleet.beat(Beat(process("own"), clock.now_ms()), clock.now_ms())

    async def freeze() -> None:
        clock.now_s += 16

    attempts._journals.flush = freeze  # type: ignore[method-assign]
    assert await run(attempts, request) == ["freed", "back"]
    assert (request.started, owner.running) == (False, {})


async def test_a_request_whose_address_was_looked_up_is_decided_again() -> None:
    """It may be cancelled, late or another dispatcher's by then: it was called all the same."""
    owner = tenure()
    request = waiting(owner=owner)
    request.record.reply = ReplyTo("answers")
    assert await run(attempts_that_must_not_call(owner), request) == ["freed", "back"]
    assert (request.started, owner.running) == (False, {})


async def test_a_wait_is_not_handed_on_when_the_partition_was_lost_after_the_decision() -> None:
    owner = tenure()
    request = waiting(owner=owner)
    owner.owned = False
    journals = JournalWriter(cast("Outbox", Unwritable()), 0, unread)
    handing_on = settlement(journals, Metrics(CollectorRegistry()))
    await handing_on.retry(request, due_ms=5_000, now_ms=0, attempt=1)
    assert (request.started, owner.running) == (False, {})
