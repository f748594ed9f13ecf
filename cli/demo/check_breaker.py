"""Rules about the breaker that opens and closes."""

from collections.abc import Iterator

from headrace.cli.demo.evidence import Evidence
from headrace.cli.demo.findings import Finding, Kind


def check_breaker(evidence: Evidence) -> Iterator[Finding]:
    """It opened, it closed, and nobody lost an answer by it."""
    seen = evidence.tripped
    if seen is None:
        return
    if not seen.opened:
        yield _finding(f"{seen.failed} calls failed, and it never opened")
    elif not seen.closed:
        yield _finding(f"it opened {seen.opened} times and never closed")
    if seen.answered < seen.asked:
        yield _finding(f"{seen.answered} of {seen.asked} requests were answered")


def _finding(what: str) -> Finding:
    return Finding(Kind.BREAKER, "fragile", what)
