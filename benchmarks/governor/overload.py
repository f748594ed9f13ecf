"""Limits at five times what they allow, while owners are killed (G1, G3, G4), and what it costs (G12)."""

import asyncio
from dataclasses import dataclass

from benchmarks.governor.site import (
    DISPATCHERS,
    Limited,
    Site,
    accepted,
    now_ms,
    refused,
)
from benchmarks.governor.spans import WINDOW_MS, Spans
from benchmarks.governor.traffic import Demand, Seen, Traffic
from benchmarks.harness.usage import read_usage
from benchmarks.report.rows import Row, at_least, at_most, figure
from headrace.cli.progress import Reporter

TOKENS = (20, 60, 220)
"""Lengths of answers."""
USUAL_TOKENS = 210
"""Of a request, question and answer, on average."""
SLACK = 1.25
"""How far a limit on tokens lies above what the one on requests lets through: it is counted all the same."""
RPM_60 = Limited("rpm-60", 60, round(60 * USUAL_TOKENS * SLACK))
RPM_600 = Limited("rpm-600", 600, round(600 * USUAL_TOKENS * SLACK))
TOKENS_BIND = Limited("tokens-bind", 600, 300 * USUAL_TOKENS)
RPM_10 = Limited("rpm-10", 10)
LIMITED = (RPM_60, RPM_600, TOKENS_BIND, RPM_10)
PER_S = {"rpm-60": 1.0, "rpm-600": 10.0, "tokens-bind": 5.0, "rpm-10": 1 / 6}
"""Requests a second that the limits let through."""
DEMAND = 5
DEADLINE_S = 30
"""Of a request: so long the queues are, in time."""
UTILISATION_BAR = 95.0
G3_BAR = 9.7
RECORDS_BAR = 100.0
BUSY_BAR = 5.0
SHORTEST_S = 4 * WINDOW_MS / 1000
"""A run that is shorter judges no utilisation."""
KILLS_S = (62.0, 184.0)
"""Where most is granted: whole limits are used at once, and what was sent leaves its window 60.5 s later."""


@dataclass(frozen=True)
class Owned:
    """What one owner cost under full load."""

    share: float
    """Of one core."""
    records_per_s: float


class Overload:
    """One run of `seconds`."""

    def __init__(self, site: Site, reporter: Reporter, seconds: float) -> None:
        self._site = site
        self._reporter = reporter
        self._seconds = seconds
        self._kills_ms: list[int] = []
        self._owned: Owned | None = None
        self._began_ms = 0

    async def run(self) -> list[Row]:
        """Send, kill the owner twice, judge."""
        self._reporter.say(
            f"limits: {DEMAND} times what they allow for {self._seconds:.0f} s,"
            " the owner is killed twice"
        )
        self._began_ms = now_ms()
        async with Traffic(self._site.stack.ingress_url, self._site.keys) as traffic:
            sending = [
                asyncio.create_task(traffic.send(self._demand(number, one)))
                for number, one in enumerate(LIMITED)
            ]
            await self._until(KILLS_S[0])
            await self._kill_owner()
            self._owned = await self._measure_owner(KILLS_S[1])
            await self._kill_owner()
            await self._until(self._seconds)
            ended_ms = now_ms()
            seen = await asyncio.gather(*sending)
        rows = [
            row
            for one, what in zip(LIMITED, seen, strict=True)
            for row in (*self._kept_rows(one), *self._used_rows(one, what, ended_ms))
        ]
        return [*rows, self._kill_row(), *self._cost_rows()]

    def _demand(self, number: int, one: Limited) -> Demand:
        per_s = PER_S[one.name] * DEMAND
        return Demand(one.name, per_s, self._seconds, DEADLINE_S, TOKENS, seed=number + 1)

    async def _until(self, at_s: float) -> None:
        """Wait for that time of the run; a shorter run is over by then."""
        due_ms = self._began_ms + min(at_s, self._seconds) * 1000
        await asyncio.sleep(max(0.0, (due_ms - now_ms()) / 1000))

    async def _kill_owner(self) -> None:
        """It stands by from then on."""
        owner = await self._site.owner()
        self._kills_ms.append(await self._site.kill(owner))
        await self._site.start_again(owner)

    async def _measure_owner(self, until_s: float) -> Owned:
        """What the present owner costs until that time of the run."""
        owner, since_ms = await self._site.owner(), now_ms()
        before = read_usage({"owner": owner.pid})["owner"].cpu_s
        await self._until(until_s)
        took_ms = max(1, now_ms() - since_ms)
        spent_s = read_usage({"owner": owner.pid})["owner"].cpu_s - before
        return Owned(spent_s / took_ms * 1000, self._site.watch.per_s(since_ms, since_ms + took_ms))

    def _binding(self, one: Limited) -> tuple[Spans, int, str]:
        """What the upstream accepted of the dimension that binds, its limit, and its name."""
        tokens = one is TOKENS_BIND
        spans = Spans(accepted(self._site.calls(one.name), tokens=tokens))
        return spans, one.tokens if tokens else one.requests, "tokens" if tokens else "requests"

    def _kept_rows(self, one: Limited) -> list[Row]:
        """Whether the limits were kept, by the upstream's own log."""
        calls = self._site.calls(one.name)

        def bar(what: str, value: int, unit: str, most: int) -> Row:
            return at_most("G1", f"{one.name}: {what}", value, unit, most, judged=True)

        most = Spans(accepted(calls)).most()
        rows = [
            bar("429 of the upstream", refused(calls), "calls", 0),
            bar("most requests in any 60 s", most, "requests", one.requests),
        ]
        if one.tokens:
            most = Spans(accepted(calls, tokens=True)).most()
            rows.append(bar("most tokens in any 60 s", most, "tokens", one.tokens))
        return rows

    def _used_rows(self, one: Limited, seen: Seen, ended_ms: int) -> list[Row]:
        """How far the limit was used: the kills are in it, and no time is left out."""
        judged = self._seconds >= SHORTEST_S
        spans, limit, unit = self._binding(one)
        used = spans.mean(self._began_ms, ended_ms)
        what = f"{one.name}: {unit} in 60 s, the mean of all windows of the run"
        if one is RPM_10:
            first = at_least("G3", what, used, unit, G3_BAR, judged=judged)
        else:
            share = used / limit * 100
            bar = UTILISATION_BAR
            first = at_least("G1.use", what, share, "% of the limit", bar, judged=judged)
        minutes = (ended_ms - self._began_ms) / WINDOW_MS
        whole = spans.between(self._began_ms, ended_ms) / limit / minutes * 100
        told = ", ".join(f"{count} x {status}" for status, count in sorted(seen.statuses.items()))
        name, share_unit = one.name, "% of limit x time"
        return [
            first,
            figure("G1.whole", f"{name}: accepted, of the whole run", whole, share_unit),
            figure("G1.sent", f"{name}: answers ({told})", len(seen.sent_ms), ""),
            figure("G1.spread", f"{name}: dispatchers that sent", self._senders(one), ""),
        ]

    def _senders(self, one: Limited) -> int:
        """Sessions are numbered: those of one process count once."""
        spent = self._site.watch.spent
        names = {
            s.rpartition(".")[0]
            for (s, flow), n in spent.items()
            if flow.deployment == one.name and n
        }
        return len(names)

    def _kill_row(self) -> Row:
        """The minute that begins with a kill."""
        spans, limit, _ = self._binding(RPM_600)
        shares = [spans.between(at, at + WINDOW_MS) / limit * 100 for at in self._kills_ms]
        what = f"{RPM_600.name}: used in the 60 s from a kill -9 of the owner on, the worse of two"
        judged = self._seconds >= SHORTEST_S
        return at_least("G4", what, min(shares), "% of the limit", UTILISATION_BAR, judged=judged)

    def _cost_rows(self) -> list[Row]:
        owned = self._owned or Owned(0.0, 0.0)
        what = f"{DISPATCHERS} dispatchers under this load: records of both topics"
        cpu = "CPU of the owner under this load"
        return [
            at_most("G12", what, owned.records_per_s, "/s", RECORDS_BAR, judged=True),
            at_most("G12", cpu, owned.share * 100, "% of a core", BUSY_BAR, judged=True),
        ]
