"""What is read back from a run: events, streams, commits, and a whole folder."""

import struct
from itertools import pairwise
from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from faults.history.check import check_folder
from faults.history.checks.offset_law import committed_has_outcome
from faults.history.commits import Committed, read_commit
from faults.history.dump import COMMITS, TOPICS
from faults.history.events import Accepted, Invoke, Way
from faults.history.folder import CALLS, Run, write_run
from faults.history.history import CLIENTS, History, read_history
from faults.history.made import Made
from faults.history.records import Commit, Record
from faults.history.sse import DONE, EventReader, payloads

STREAM = b': a comment\n\ndata: {"n":1}\n\ndata: {"n":2}\n\ndata: [DONE]\n\n'


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_a_stream_is_read_the_same_wherever_it_is_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    reader = EventReader()
    pieces = [STREAM[a:b] for a, b in pairwise(edges)]
    read = [payload for piece in pieces for payload in reader.feed(piece)]
    assert read == [b'{"n":1}', b'{"n":2}', DONE] == list(payloads(STREAM))


def text(word: str) -> bytes:
    """A string as Kafka writes it in these records."""
    return struct.pack(">h", len(word.encode())) + word.encode()


@given(st.text(max_size=20), st.text(max_size=20), st.integers(0, 99), st.integers(0, 2**62))
def test_a_commit_is_read_as_the_broker_wrote_it(
    group: str, topic: str, partition: int, position: int
) -> None:
    key = struct.pack(">h", 1) + text(group) + text(topic) + struct.pack(">i", partition)
    value = struct.pack(">hqi", 3, position, -1) + text("") + struct.pack(">q", 0)
    assert read_commit(key, value) == Committed(group, topic, partition, position)


def test_records_of_members_and_forgotten_commits_are_no_commits() -> None:
    of_group = struct.pack(">h", 2) + text("g")
    forgotten = struct.pack(">h", 1) + text("g") + text("t") + struct.pack(">i", 0)
    assert read_commit(of_group, b"x") is None
    assert read_commit(forgotten, None) is None


def test_a_torn_last_line_of_a_history_is_left_out(tmp_path: Path) -> None:
    invoke = Invoke(number=1, at=5, way=Way.SYNC, tenant="ann", model="small")
    with History(tmp_path, lambda: 5) as history:
        history.write(invoke)
        history.write(Accepted(number=1, at=6, id="r1"))
    with (tmp_path / CLIENTS).open("r+b") as file:
        file.truncate((tmp_path / CLIENTS).stat().st_size - 3)
    assert list(read_history(tmp_path)) == [invoke]


def test_a_fault_is_written_with_its_end(tmp_path: Path) -> None:
    with History(tmp_path, iter([10, 30]).__next__) as history, history.fault("kill", "d-1"):
        pass
    fault, healed = read_history(tmp_path)
    assert (fault.number, fault.at, healed.number, healed.at) == (1, 10, 1, 30)


def test_a_folder_is_judged_as_its_parts_are(tmp_path: Path) -> None:
    record = Record("t.requests.standard", 0, 0, 1001, b"k", b"{}", (("ce_id", b"r1"), ("x", None)))
    encode = msgspec.json.encode
    (tmp_path / TOPICS).write_bytes(encode(record) + b"\n")
    (tmp_path / COMMITS).write_bytes(encode(Commit("g", record.topic, 0, 1, 1500)) + b"\n")
    (tmp_path / CALLS).write_bytes(b"")
    (tmp_path / CLIENTS).write_bytes(b"")
    write_run(tmp_path, Run(prefix="t."))
    verdict = check_folder(tmp_path)
    assert set(verdict.broken) == {"P1", "P4"}
    assert (verdict.figures.records, verdict.figures.commits) == (1, 1)


@given(
    st.lists(st.integers(0, 50), min_size=1, max_size=12), st.integers(0, 50), st.integers(0, 12)
)
def test_a_commit_is_found_exactly_where_it_passes_what_has_no_outcome_yet(
    ended_after_ms: list[int], committed_after_ms: int, position: int
) -> None:
    made = Made()
    for number in range(len(ended_after_ms)):
        made.ask(f"r{number}", at=1000)
    for number, after_ms in enumerate(ended_after_ms):
        made.final(f"r{number}", at=2000 + 10 * after_ms)
    made.committed(position, at=2000 + 10 * committed_after_ms)
    found = {violation.subject for violation in committed_has_outcome(made.evidence())}
    passed = enumerate(ended_after_ms[:position])
    assert found == {f"r{number}" for number, after in passed if after > committed_after_ms}
