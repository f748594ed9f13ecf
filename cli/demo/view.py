"""What can be seen while the demo runs: a snapshot of history and upstream log, and its picture."""

from collections.abc import Sequence

import msgspec
from rich.table import Table

from headrace.cli.demo import quota, setting
from headrace.cli.demo.evidence import Asked, Kill, was_cut
from headrace.cli.mock.log import LoggedCall


class LaneSeen(msgspec.Struct, frozen=True):
    """One lane: how many were sent, how many have ended."""

    lane: str
    sent: int
    ended: int

    @property
    def waiting(self) -> int:
        """Sent, and not ended."""
        return self.sent - self.ended


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The run at one moment."""

    elapsed_s: float
    lanes: tuple[LaneSeen, ...]
    in_flight: int
    failed: int
    """Calls that the upstream answered with an error so far."""
    retries: int
    killed: str = ""
    """Name of the killed dispatcher."""
    killed_at_s: float = 0
    cut: int = 0
    """Calls that the kill cut."""
    taken_over_s: float | None = None
    """From the kill to the first repetition of a call that it cut."""
    limited: int = 0
    """Calls of the model with a limit within the last 60 s."""


def snapshot(
    lanes: Sequence[str],
    history: Sequence[Asked],
    calls: Sequence[LoggedCall],
    *,
    started: int,
    now: int,
    killed: str = "",
    kill: Kill | None = None,
) -> Snapshot:
    """Count what is known at `now`; times are epoch milliseconds."""
    under_limit = [call for call in calls if call.received.model == quota.MODEL]
    calls = [call for call in calls if call.received.model not in setting.BESIDE]
    return Snapshot(
        elapsed_s=(now - started) / 1000,
        lanes=tuple(_lane(lane, history) for lane in lanes),
        in_flight=sum(call.finished is None for call in calls),
        failed=sum(call.finished is not None and call.finished.status >= 400 for call in calls),
        retries=sum(call.received.attempt > 1 for call in calls),
        killed=killed,
        killed_at_s=0 if kill is None else (kill.before - started) / 1000,
        cut=sum(was_cut(call, kill) for call in calls),
        taken_over_s=takeover_s(calls, kill),
        limited=sum(one.received.received_at > now - quota.WINDOW_MS for one in under_limit),
    )


def takeover_s(calls: Sequence[LoggedCall], kill: Kill | None) -> float | None:
    """Seconds from the kill to the first repetition of a call that it cut; None before that."""
    if kill is None:
        return None
    cut = {call.received.request_id for call in calls if was_cut(call, kill)}
    again = [
        call.received.received_at
        for call in calls
        if call.received.request_id in cut and call.received.received_at > kill.after
    ]
    return (min(again) - kill.before) / 1000 if again else None


def _lane(lane: str, history: Sequence[Asked]) -> LaneSeen:
    mine = [asked for asked in history if asked.lane == lane]
    return LaneSeen(lane, len(mine), sum(asked.ended_at > 0 for asked in mine))


def events(seen: Snapshot) -> list[str]:
    """The crash and its end, as far as they have happened."""
    if not seen.killed:
        return []
    told = [f"{seen.killed_at_s:.1f} s  {seen.killed} killed with SIGKILL, {seen.cut} calls cut"]
    if seen.taken_over_s is not None:
        told.append(f"taken over after {seen.taken_over_s:.1f} s: the cut calls run again")
    return told


def table(seen: Snapshot) -> Table:
    """The snapshot for a terminal."""
    picture = Table(
        title=f"{seen.elapsed_s:.1f} s", caption="\n".join(events(seen)), caption_justify="left"
    )
    picture.add_column("lane")
    for column in ("sent", "answered", "waiting"):
        picture.add_column(column, justify="right")
    for lane in seen.lanes:
        picture.add_row(lane.lane, str(lane.sent), str(lane.ended), str(lane.waiting))
    picture.add_section()
    picture.add_row("upstream", f"{seen.in_flight} in flight", f"{seen.failed} failed",
                    f"{seen.retries} retries")  # fmt: skip
    return picture


def line(seen: Snapshot) -> str:
    """The snapshot as one plain line: ended/sent of each lane, then the upstream."""
    lanes = "  ".join(f"{lane.lane} {lane.ended}/{lane.sent}" for lane in seen.lanes)
    upstream = f"in flight {seen.in_flight}  failed {seen.failed}  retries {seen.retries}"
    limit = f"limit {seen.limited}/{quota.LIMIT} in 60 s"
    return f"{seen.elapsed_s:5.1f} s  {lanes}  {upstream}  {limit}"
