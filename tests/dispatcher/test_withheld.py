"""A call whose gate stayed closed was no attempt: the request stands where it stood."""

from typing import cast

from prometheus_client import CollectorRegistry

from headrace.dispatcher.attempt import Attempts
from headrace.dispatcher.breakers.board import Breakers
from headrace.dispatcher.fleet import Fleet
from headrace.dispatcher.kafka.directory import Directory
from headrace.dispatcher.kafka.journals import JournalWriter
from headrace.dispatcher.kafka.outbox import Outbox
from headrace.dispatcher.kafka.replies import Replies
from headrace.dispatcher.metrics import Metrics
from headrace.dispatcher.overheard import Overheard
from headrace.dispatcher.policy.ambiguous import AmbiguousPolicy
from headrace.dispatcher.ports import Call, CallEnd, Forward
from headrace.dispatcher.repeats import Repeats
from headrace.dispatcher.seats import Seats
from headrace.dispatcher.settle import Settlement
from headrace.dispatcher.tenure import Tenure
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.names import DeploymentName
from support.dispatch import APPENDED_MS, process, tenure, waiting


class Closed:
    """An upstream whose gates are all closed."""

    async def call(self, _call: Call, _forward: Forward) -> CallEnd:
        return CallEnd(withheld=True)

    async def close(self) -> None:
        """Nothing is open."""


class Now:
    """A clock that stands."""

    def now_ms(self) -> int:
        return APPENDED_MS

    def monotonic(self) -> float:
        return 0.0


async def unread(_tenure: Tenure, _offset: int) -> None:
    raise AssertionError("read the journal")


def attempts() -> Attempts:
    """Attempts that have nowhere to write an outcome to."""
    return Attempts(
        upstream=Closed(),
        repeats=Repeats({}),
        replies=cast("Replies", None),
        settlement=cast("Settlement", None),
        journals=JournalWriter(cast("Outbox", None), 0, unread),
        metrics=Metrics(CollectorRegistry()),
        clock=Now(),
        seats=Seats([]),
        directory=cast("Directory", None),
        ambiguous=AmbiguousPolicy(),
        fleet=Fleet(process("own")),
        breakers=cast("Breakers", None),
        overheard=Overheard(),
    )


async def run(request: Waiting) -> list[str]:
    """What the loop is told of it."""
    told: list[str] = []
    await attempts().run(
        request,
        DeploymentName("east"),
        freed=lambda: told.append("freed"),
        again=lambda _w, _at: False,
        back=lambda _w: told.append("back"),
    )
    return told


async def test_a_withheld_request_goes_back_and_is_no_attempt() -> None:
    owner = tenure()
    request = waiting(owner=owner)
    assert await run(request) == ["freed", "back"]
    assert (request.attempt, request.history) == (1, ())
    assert owner.running == {0: 0}


async def test_a_withheld_request_of_a_lost_partition_is_left_to_its_owner() -> None:
    owner = tenure()
    request = waiting(owner=owner)
    request.started = True
    owner.owned = False
    assert await run(request) == ["freed"]
    assert owner.running == {}
