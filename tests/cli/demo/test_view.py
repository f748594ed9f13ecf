"""What is shown while the demo runs."""

import msgspec
from rich.console import Console

from headrace.cli.demo.view import LaneSeen, Snapshot, events, line, snapshot, table, takeover_s
from support.evidence import KILL, good_run, with_history


def looked(*, now: int = 20_100, upto: int | None = None) -> Snapshot:
    """A snapshot of the small run, with only the calls received before `upto`."""
    run = good_run()
    calls = [c for c in run.calls if upto is None or c.received.received_at < upto]
    return snapshot(
        ("interactive", "batch"),
        run.history,
        calls,
        started=100,
        now=now,
        killed="dispatcher-2",
        kill=KILL,
    )


def test_a_snapshot_counts_each_lane() -> None:
    assert looked().lanes == (LaneSeen("interactive", 0, 0), LaneSeen("batch", 3, 3))


def test_what_was_sent_and_has_not_ended_is_waiting() -> None:
    run = with_history(good_run(), 1, ended_at=0)
    seen = snapshot(("batch",), run.history, (), started=0, now=0)
    assert seen.lanes[0].waiting == 1


def test_a_snapshot_counts_failed_calls() -> None:
    assert looked().failed == 3


def test_a_call_without_an_end_is_in_flight() -> None:
    run = good_run()
    running = msgspec.structs.replace(run.calls[-1], finished=None)
    seen = snapshot((), (), [*run.calls[:-1], running], started=0, now=0)
    assert seen.in_flight == 1


def test_the_takeover_is_the_first_repetition_of_a_cut_call() -> None:
    assert takeover_s(good_run().calls, KILL) == 8.0


def test_there_is_no_takeover_before_a_cut_call_runs_again() -> None:
    assert looked(upto=18_000).taken_over_s is None


def test_no_event_is_told_before_the_kill() -> None:
    assert events(snapshot((), (), (), started=0, now=0)) == []


def test_the_kill_and_the_takeover_are_told() -> None:
    killed, taken_over = events(looked())
    assert killed == "9.9 s  dispatcher-2 killed with SIGKILL, 1 calls cut"
    assert taken_over == "taken over after 8.0 s: the cut calls run again"


def test_a_plain_line_holds_every_lane_and_the_upstream() -> None:
    told = line(looked())
    before = " 20.0 s  interactive 0/0  batch 3/3  in flight 0  failed 3  retries 0"
    assert told == f"{before}  limit 0/120 in 60 s"


def test_the_table_holds_every_lane_the_upstream_and_the_kill() -> None:
    console = Console(width=100)
    with console.capture() as capture:
        console.print(table(looked()))
    shown = capture.get()
    for word in ("interactive", "batch", "upstream", "0 in flight", "dispatcher-2 killed"):
        assert word in shown
