"""Attempts of which only the call itself is real."""

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
from headrace.dispatcher.ports import Upstream
from headrace.dispatcher.repeats import Repeats
from headrace.dispatcher.seats import Seats
from headrace.dispatcher.settle import Settlement
from headrace.dispatcher.tenure import Tenure
from support.dispatch import APPENDED_MS, process


class Now:
    """A clock that stands."""

    def now_ms(self) -> int:
        return APPENDED_MS

    def monotonic(self) -> float:
        return 0.0


async def _unread(_tenure: Tenure, _offset: int) -> None:
    raise AssertionError("read the journal")


def attempts(upstream: Upstream, settlement: object = None) -> Attempts:
    """Attempts that call `upstream`; without a `settlement` they have nowhere to write an outcome to."""
    return Attempts(
        upstream=upstream,
        repeats=Repeats({}),
        replies=cast("Replies", None),
        settlement=cast("Settlement", settlement),
        journals=JournalWriter(cast("Outbox", None), 0, _unread),
        metrics=Metrics(CollectorRegistry()),
        clock=Now(),
        seats=Seats([]),
        directory=cast("Directory", None),
        ambiguous=AmbiguousPolicy(),
        fleet=Fleet(process("own")),
        breakers=cast("Breakers", None),
        overheard=Overheard(),
    )
