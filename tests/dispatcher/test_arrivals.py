"""What is run of a delay partition, and what had been handed on before."""

from typing import Any, cast
from unittest.mock import create_autospec

import pytest
from prometheus_client import CollectorRegistry

from headrace.dispatcher.arrivals import Arrivals
from headrace.dispatcher.kafka.journals import JournalWriter
from headrace.dispatcher.metrics import Metrics
from headrace.dispatcher.ports import Clock
from headrace.dispatcher.recovery import Recovery
from headrace.dispatcher.settle import Settlement
from headrace.dispatcher.tenure import Tenure
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.config.model import Config
from headrace.schemas.handover import Origin
from headrace.schemas.headers import H
from headrace.schemas.journal import InFlight, Mark, Release, SessionId
from support.dispatch import HOUR, LANE, Record, session, tenure

FIRST, LATER = session("first"), session("later")


def handed_on(
    offset: int, *, by: SessionId = FIRST, attempt: int = 2, parked: bool = False
) -> Record:
    """A delay record from one place of a lane."""
    origin = Origin("lane:0:7", attempt, by).encode()
    names = [H.HANDED_ON_FROM, H.PARKED_FROM] if parked else [H.HANDED_ON_FROM]
    return Record(offset=offset, headers=[(name.value, origin) for name in names])


class Taken:
    """Arrivals, what they run and what they end without running it."""

    def __init__(self) -> None:
        self.run: list[int] = []
        self.looked_into: list[int] = []
        self.ended: list[tuple[int, str]] = []
        journals = create_autospec(JournalWriter, instance=True)
        journals.finished.side_effect = self._end
        recovery = create_autospec(Recovery, instance=True)
        recovery.take.side_effect = lambda _, record, *__: self.looked_into.append(record.offset)
        self._arrivals = Arrivals(
            Config.model_construct(lanes={LANE: HOUR}),
            recovery=recovery,
            settlement=create_autospec(Settlement, instance=True),
            journals=journals,
            metrics=Metrics(CollectorRegistry()),
            clock=create_autospec(Clock, instance=True),
        )

    def take(self, owner: Tenure, *records: Record) -> None:
        """They were read."""
        self._arrivals.take(owner, records, self._accept, cast("Any", None))

    def _accept(self, waiting: Waiting) -> None:
        self.run.append(waiting.offset)

    def _end(self, owner: Tenure, offset: int, how: str) -> None:
        owner.finished(offset)
        self.ended.append((offset, how))


@pytest.fixture
def taken() -> Taken:
    return Taken()


def test_a_hand_over_that_was_written_twice_runs_once(taken: Taken) -> None:
    taken.take(tenure(delay_ms=1000), handed_on(0), handed_on(1))
    assert (taken.run, taken.ended) == ([0], [(1, "duplicate")])


def test_a_hand_over_whose_twin_was_done_by_an_earlier_owner_does_not_run(taken: Taken) -> None:
    taken.take(tenure(delay_ms=1000, done=[0]), handed_on(0), handed_on(1))
    assert (taken.run, taken.ended) == ([], [(1, "duplicate")])


def test_other_attempts_and_parked_copies_are_no_twins(taken: Taken) -> None:
    taken.take(
        tenure(delay_ms=1000), handed_on(0), handed_on(1, attempt=3), handed_on(2, parked=True)
    )
    assert taken.run == [0, 1, 2]


def test_a_hand_over_by_a_session_that_had_been_replaced_does_not_run(taken: Taken) -> None:
    owner = tenure(delay_ms=1000)
    owner.marks.add(Mark("lane:0:7", 0, LATER, 2, 9_999_999_999_999), 0)
    taken.take(owner, handed_on(1), handed_on(2, by=LATER))
    assert (taken.run, taken.ended) == ([2], [(1, "fenced")])


def test_a_hand_over_that_was_begun_by_the_dead_is_looked_into(taken: Taken) -> None:
    owner = tenure(delay_ms=1000, elders=[InFlight(0, 1, FIRST)])
    taken.take(owner, handed_on(0))
    assert (taken.run, taken.looked_into) == ([], [])
    owner.follow(Release(FIRST), 1)
    taken.take(owner, handed_on(0))
    assert (taken.run, taken.looked_into, taken.ended) == ([], [0], [])
