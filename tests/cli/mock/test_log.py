"""The call log: numbers, lines, pages, and what a restart finds."""

from pathlib import Path

import pytest

from headrace.cli.mock.log import CallLog, Finished, Outcome, Received, read_log


def received(seq: int) -> Received:
    """A receipt."""
    return Received(seq, 1000 + seq, "/v1/embeddings", "ab", 1, request_id=f"r{seq}")


def log_calls(log: CallLog, count: int) -> None:
    """Log `count` calls from receipt to end."""
    for seq in range(log.next_seq, log.next_seq + count):
        log.finish(log.receive(received(seq)), Finished(seq, 2000, Outcome.ANSWERED, 200))


def test_a_call_is_in_the_file_before_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    with CallLog(path, 10) as log:
        log.receive(received(1))
        (call,) = read_log(path)
    assert call.received == received(1)
    assert call.finished is None


def test_the_end_is_joined_to_its_receipt(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    with CallLog(path, 10) as log:
        first, second = log.receive(received(1)), log.receive(received(2))
        log.finish(second, Finished(2, 5, Outcome.CUT))
        log.finish(first, Finished(1, 6, Outcome.ANSWERED, 200))
    outcomes = [call.finished.outcome for call in read_log(path) if call.finished]
    assert outcomes == [Outcome.ANSWERED, Outcome.CUT]


def test_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    with CallLog(path, 10) as log:
        log_calls(log, 3)
    with CallLog(path, 10) as log:
        assert log.next_seq == 4


def test_a_torn_last_line_spoils_nothing(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    with CallLog(path, 10) as log:
        log_calls(log, 1)
    with path.open("ab") as lines:
        lines.write(b'{"event":"rece')
    with CallLog(path, 10) as log:
        log_calls(log, 1)
    assert [call.received.seq for call in read_log(path)] == [1, 2]


def test_pages_follow_each_other_by_number() -> None:
    with CallLog(None, 100) as log:
        log_calls(log, 5)
        pages = [[call.received.seq for call in log.since(since, 2)] for since in (0, 2, 4, 5)]
    assert pages == [[1, 2], [3, 4], [5], []]


def test_memory_keeps_the_last_calls_only() -> None:
    with CallLog(None, 3) as log:
        log_calls(log, 10)
        assert [call.received.seq for call in log.since(0, 100)] == [8, 9, 10]
        assert [call.received.seq for call in log.since(8, 100)] == [9, 10]


def test_a_log_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="directory"), CallLog(tmp_path / "none" / "log", 1):
        pass
