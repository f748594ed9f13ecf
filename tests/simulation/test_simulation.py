"""The simulation itself: it repeats, it holds on a few seeds, and it sees what is broken."""

import subprocess
import sys
from pathlib import Path

import pytest
from simulation.run import simulate, tell
from simulation.story import crowded, rolled

from headrace.dispatcher.delays import Timers
from headrace.dispatcher.journal import JournalState
from headrace.dispatcher.kafka.journals import JournalWriter
from headrace.dispatcher.settle import Settlement
from headrace.dispatcher.tenure import Tenure
from headrace.dispatcher.waiting import Waiting

TESTS = Path(__file__).parents[1]
FEW = range(8)
HARD = (24,)
"""A seed that showed what no other did: two calls of one request within an outage of Kafka, then a kill."""


def run(*arguments: str) -> str:
    """The command, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "simulation", *arguments],
        cwd=TESTS,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


def test_a_seed_does_the_same_in_every_process() -> None:
    told = {run("--seed", "2").splitlines()[-1] for _ in range(2)}
    assert len(told) == 1
    assert "digest" in told.pop()


@pytest.mark.parametrize("seed", [*FEW, *HARD])
def test_nothing_is_violated(seed: int) -> None:
    assert simulate(seed).violations == []


def test_a_wait_outlives_the_process_that_is_replaced() -> None:
    """What was on its way to a delay topic was given up, and its successor called at once."""
    found = [one for seed in range(10) for one in tell(rolled(seed)).violations]
    assert found == []


@pytest.mark.parametrize("seed", range(3))
def test_what_waits_for_long_leaves_room_for_what_stands_behind_it(seed: int) -> None:
    """All that was read of one tenant had to begin before anything of the next was read."""
    told = tell(crowded(seed))
    assert told.violations == []
    assert told.began["few"] < 60


def violations_of(seeds: range) -> str:
    return "\n".join(one for seed in seeds for one in simulate(seed).violations)


def test_a_commit_that_runs_ahead_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    started = JournalWriter.started

    def done_at_once(self: JournalWriter, tenure: Tenure, offset: int, attempt: int) -> None:
        started(self, tenure, offset, attempt)
        tenure.tracker.finish(offset)

    monkeypatch.setattr(JournalWriter, "started", done_at_once)
    assert "P4" in violations_of(FEW)


def test_an_answer_that_is_never_written_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(self: Settlement, *_: object) -> None:
        return None

    monkeypatch.setattr(Settlement, "_tell", nothing)
    assert "P1" in violations_of(range(2))


def test_a_request_that_is_sent_before_its_time_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    due = Timers.due
    monkeypatch.setattr(Timers, "due", lambda self, now_ms: due(self, now_ms + 60_000))
    monkeypatch.setattr(Waiting, "due_ms", 0)
    assert "P6" in violations_of(FEW)


def test_a_journal_that_forgets_what_is_done_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JournalState, "unfinished", lambda _: ([], {}))
    assert "P3" in violations_of(range(20))
