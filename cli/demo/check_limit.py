"""Rules about the limit by the minute, from the upstream's own count (P5)."""

from collections.abc import Iterator

from headrace.cli.demo.evidence import Evidence
from headrace.cli.demo.findings import Finding, Kind

USED = 0.95
"""Of the limit, in the fullest minute: requests wait for nothing else."""


def check_limit(evidence: Evidence) -> Iterator[Finding]:
    """Never more than the limit, nothing refused by the upstream, the limit used, all others told."""
    seen = evidence.limited
    if seen is None:
        return
    if seen.most > seen.limit:
        yield _finding(f"{seen.most} calls within 60 s, {seen.limit} are allowed")
    if seen.refused:
        yield _finding(f"the upstream refused {seen.refused} calls with 429")
    if seen.most < seen.limit * USED:
        yield _finding(f"only {seen.most} of {seen.limit} calls within 60 s")
    if seen.answered < seen.limit * USED:
        yield _finding(f"only {seen.answered} requests were answered, {seen.limit} are allowed")
    if seen.answered + seen.late < seen.asked:
        silent = seen.asked - seen.answered - seen.late
        yield _finding(
            f"{silent} of {seen.asked} requests had neither an answer nor a refusal in time"
        )


def _finding(what: str) -> Finding:
    return Finding(Kind.LIMIT, "quota", what)
