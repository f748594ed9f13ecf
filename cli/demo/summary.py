"""The end of the demo: figures, latencies, what did not hold, and the machine-readable line. Pure."""

from collections.abc import Sequence

import msgspec
from rich.table import Table

from headrace.cli.demo.check import Findings
from headrace.cli.demo.evidence import Asked, Record
from headrace.schemas.headers import H


class LaneLatency(msgspec.Struct, frozen=True):
    """Milliseconds from sending to the end of the answer."""

    lane: str
    count: int
    p50: int
    p99: int


def latencies(lanes: Sequence[str], history: Sequence[Asked]) -> list[LaneLatency]:
    """Of all requests that ended, whatever their end; lanes without any are left out."""
    found = []
    for lane in lanes:
        took = sorted(a.ended_at - a.sent_at for a in history if a.lane == lane and a.ended_at)
        if took:
            found.append(LaneLatency(lane, len(took), quantile(took, 0.5), quantile(took, 0.99)))
    return found


def quantile(ordered: Sequence[int], share: float) -> int:
    """The smallest value that `share` of all values do not exceed (nearest rank)."""
    rank = -(-len(ordered) * share // 1)
    return ordered[max(0, int(rank) - 1)]


def latency_table(rows: Sequence[LaneLatency]) -> Table:
    """Latency per lane."""
    picture = Table(title="latency at the client")
    picture.add_column("lane")
    for column in ("requests", "p50 ms", "p99 ms"):
        picture.add_column(column, justify="right")
    for row in rows:
        picture.add_row(row.lane, str(row.count), str(row.p50), str(row.p99))
    return picture


def figures(findings: Findings, reasons: Sequence[str], takeover_s: float | None) -> dict[str, str]:
    """The summary, a line each; `reasons` are those of the dead letters."""
    dead = f" ({', '.join(reasons)})" if reasons else ""
    after = "" if takeover_s is None else f", taken over after {takeover_s:.1f} s"
    told = {
        "sent": str(findings.sent),
        "answered": str(findings.answered),
        "retried": f"{findings.retried} requests, after an error of the upstream",
        "recovered": f"{findings.recovered} of {findings.cut} in flight at the kill{after}",
        "dead-lettered": f"{findings.dead_lettered}{dead}",
        "lost": str(findings.lost),
        "doubled": str(findings.doubled),
    }
    if (seen := findings.limited) is not None:
        told["limit"] = (
            f"{seen.limit} a minute, {seen.asked} asked for: at most {seen.most} in any 60 s"
            f" by the upstream's own count, {seen.refused} refused by it, {seen.answered} answered,"
            f" {seen.late} told that their time does not do"
        )
    if (trip := findings.tripped) is not None:
        told["breaker"] = (
            f"opened {trip.opened_after_ms / 1000:.1f} s after the first of {trip.failed} failed calls,"
            f" closed after {trip.closed_after_ms / 1000:.1f} s, {trip.answered} of {trip.asked} answered"
        )
    return told


def reasons_of(letters: Sequence[Record]) -> list[str]:
    """Why there are dead letters, each reason once."""
    return sorted({letter.header(H.REASON) for letter in letters})


def last_line(findings: Findings, seconds: float) -> str:
    """The figures for machines; keys are never renamed."""
    pairs = {
        "sent": findings.sent,
        "answered": findings.answered,
        "dead_lettered": findings.dead_lettered,
        "lost": findings.lost,
        "doubled": findings.doubled,
        "retried": findings.retried,
        "recovered": findings.recovered,
        "upstream_calls": findings.upstream_calls,
        "seconds": round(seconds),
    }
    if (seen := findings.limited) is not None:
        pairs |= {"limit": seen.limit, "limit_most": seen.most, "limit_refused": seen.refused}
    if (trip := findings.tripped) is not None:
        pairs |= {"breaker_opened": trip.opened, "breaker_closed": trip.closed}
    return "demo: " + " ".join(f"{name}={value}" for name, value in pairs.items())
