"""The folder of a run: where each source of evidence lies, and how it was set up."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from faults.history.dump import COMMITS, TOPICS
from faults.history.records import Commit, Record

CALLS = "upstream.jsonl"
RUN = "run.json"

Line = TypeVar("Line")


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What a checker must know of a run's setting."""

    prefix: str
    """Before the names of the topics."""
    seats: dict[str, int] = {}
    """By model: calls that may be in flight, all dispatchers together. A model without: not checked."""
    retry_after_ms: int = 0
    """What the upstream asks for with a 429 or 503; 0: nothing."""
    error_after_ms: int = 0
    """How long after the receipt of a call the upstream answers with an error, at the least."""
    settled: bool = True
    """Whether the run was waited for until nothing was open: then what has no end is lost."""


def write_run(folder: Path, run: Run) -> None:
    """Keep the setting beside the evidence."""
    (folder / RUN).write_bytes(msgspec.json.encode(run))


def read_run(folder: Path) -> Run:
    """The setting. Raises OSError or `msgspec.MsgspecError`."""
    return msgspec.json.decode((folder / RUN).read_bytes(), type=Run)


def read_records(folder: Path) -> Iterator[Record]:
    """The dumped records, each partition in its order."""
    return _lines(folder / TOPICS, Record)


def read_commits(folder: Path) -> Iterator[Commit]:
    """The commits, each partition of each group in its order."""
    return _lines(folder / COMMITS, Commit)


def _lines(path: Path, kind: type[Line]) -> Iterator[Line]:
    decoder = msgspec.json.Decoder(kind)
    with path.open("rb") as lines:
        for line in lines:
            yield decoder.decode(line)
