"""P4: when an offset was committed, each record below it had an outcome that Kafka had acknowledged.

Every commit is on `__consumer_offsets` with its time, so a commit that was too early is seen even
where nothing crashed: the outcome stands in its topic with a later time.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator

from faults.history.evidence import Evidence
from faults.history.records import Commit, Record, request_id
from faults.history.violation import Promise, Violation
from headrace.schemas import journal

CLOCK_MS = 2
"""Both times are one broker's in whole ms; of a cluster's brokers the clocks differ so little here."""
NO_OUTCOME = frozenset(("duplicate", "ended", "fenced", "parked"))
"""How the journal says that a record ended without an outcome of its own: another record has it."""


def committed_has_outcome(evidence: Evidence) -> Iterator[Violation]:
    """The first commit that passes a record comes after its outcome."""
    passed = _by_partition(evidence.commits)
    excused = _excused(evidence)
    for records in (*evidence.requests.values(), *evidence.delays.values()):
        for record in records:
            commits = passed.get((record.topic, record.partition))
            commit = _first_past(commits, record.offset) if commits else None
            place = (record.topic, record.partition, record.offset)
            if commit is None or place in excused:
                continue
            outcome_at = _outcome_at(evidence, record)
            if outcome_at is None or outcome_at > commit.at + CLOCK_MS:
                late = "none" if outcome_at is None else f"{outcome_at - commit.at} ms later"
                what = f"a commit of {commit.position} passed it; its outcome: {late}"
                yield Violation(Promise.P4, request_id(record), what, (record.place,))


def _by_partition(commits: list[Commit]) -> dict[tuple[str, int], tuple[list[int], list[Commit]]]:
    """Of each partition the commits that went further than all before, and their positions."""
    found: defaultdict[tuple[str, int], tuple[list[int], list[Commit]]] = defaultdict(
        lambda: ([], [])
    )
    for commit in commits:
        positions, further = found[(commit.topic, commit.partition)]
        if not positions or commit.position > positions[-1]:
            positions.append(commit.position)
            further.append(commit)
    return dict(found)


def _first_past(commits: tuple[list[int], list[Commit]], offset: int) -> Commit | None:
    positions, further = commits
    index = bisect_left(positions, offset + 1)
    return further[index] if index < len(further) else None


def _outcome_at(evidence: Evidence, record: Record) -> int | None:
    """When the first record that can be this one's outcome was appended."""
    own_id = request_id(record)
    ends = [one.place for one in evidence.finals.get(own_id, ())]
    letters = evidence.letters.get(own_id, ())
    onward = [one for one in evidence.delays.get(own_id, ()) if one is not record]
    rows = [one.place for one in evidence.terminals.get(own_id, ())]
    times = [one.timestamp for one in (*ends, *letters, *onward, *rows)]
    return min((at for at in times if at >= record.timestamp), default=None)


def _excused(evidence: Evidence) -> set[tuple[str, int, int]]:
    """Places of records that the journal says another record answers for."""
    excused: set[tuple[str, int, int]] = set()
    prefix = evidence.run.prefix
    lanes = {one.topic for records in evidence.requests.values() for one in records}
    for (source, partition), entries in evidence.journals.items():
        topic = f"{prefix}requests.{source}"
        if topic not in lanes:
            topic = f"{prefix}delay.{source}"
        for record in entries:
            entry = journal.decode(record.value or b"")
            if isinstance(entry, journal.Work):
                done = (offset for offset, how in entry.done if how in NO_OUTCOME)
                excused.update((topic, partition, offset) for offset in done)
    return excused
