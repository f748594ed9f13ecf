"""Limits at five times what they allow, while owners are killed: G1, G3, G4 and what it costs, G12."""

import asyncio
from dataclasses import dataclass

from benchmarks.governor.site import (
    DISPATCHERS,
    Limited,
    Site,
    accepted,
    now_ms,
    refused,
    until,
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
G4_BAR_S = 3.0
RECORDS_BAR = 100.0
BUSY_BAR = 5.0
SHORTEST_S = 3 * WINDOW_MS / 1000
"""A run that is shorter judges nothing."""


@dataclass(frozen=True)
class Kill:
    """An owner's end, and when its successor first gave something new; epoch milliseconds."""

    at_ms: int
    given_ms: int


@dataclass(frozen=True)
class Owned:
    """What one owner cost between two moments of full load."""

    share: float
    """Of one core."""
    records_per_s: float


class Overload:
    """One run of `seconds`."""

    def __init__(self, site: Site, reporter: Reporter, seconds: float) -> None:
        self._site = site
        self._reporter = reporter
        self._seconds = seconds
        self._kills: list[Kill] = []
        self._owned: list[Owned] = []

    async def run(self) -> list[Row]:
        """Send, kill the owner after each third, judge."""
        say, seconds = self._reporter.say, self._seconds
        say(
            f"limits: {DEMAND} times what they allow for {seconds:.0f} s, the owner is killed twice"
        )
        began_ms = now_ms()
        async with Traffic(self._site.stack.ingress_url, self._site.keys) as traffic:
            sending = [
                asyncio.create_task(traffic.send(self._demand(number, one)))
                for number, one in enumerate(LIMITED)
            ]
            for _ in range(2):
                await self._third(seconds / 3)
            await asyncio.sleep(max(0.0, began_ms / 1000 + seconds - now_ms() / 1000))
            ended_ms = now_ms()
            seen = await asyncio.gather(*sending)
        rows = [
            row
            for one, what in zip(LIMITED, seen, strict=True)
            for row in self._limit_rows(one, what, began_ms, ended_ms)
        ]
        return [*rows, *self._kill_rows(), *self._cost_rows()]

    def _demand(self, number: int, one: Limited) -> Demand:
        per_s = PER_S[one.name] * DEMAND
        return Demand(one.name, per_s, self._seconds, DEADLINE_S, TOKENS, seed=number + 1)

    async def _third(self, seconds: float) -> None:
        """Measure the owner in the second half of it, then kill it and let it stand by."""
        site = self._site
        await asyncio.sleep(seconds / 2)
        owner, since_ms = await site.owner(), now_ms()
        before = read_usage({"owner": owner.pid})["owner"].cpu_s
        await asyncio.sleep(seconds / 2)
        spent_s = read_usage({"owner": owner.pid})["owner"].cpu_s - before
        until_ms = now_ms()
        self._owned.append(
            Owned(spent_s / (until_ms - since_ms) * 1000, site.watch.per_s(since_ms, until_ms))
        )
        epoch = site.watch.epoch
        at_ms = await site.kill(owner)

        async def given() -> int | None:
            return site.watch.first_given(at_ms, epoch)

        given_ms = await until(given, "a new owner gave nothing")
        self._kills.append(Kill(at_ms, given_ms))
        self._reporter.say(f"limits: granted again after {(given_ms - at_ms) / 1000:.2f} s")
        await site.start_again(owner)

    def _limit_rows(self, one: Limited, seen: Seen, began_ms: int, ended_ms: int) -> list[Row]:
        judged = self._seconds >= SHORTEST_S
        calls = self._site.calls(one.name)
        by_requests = Spans(accepted(calls))
        by_tokens = Spans(accepted(calls, tokens=True))
        binding, limit = (
            (by_tokens, one.tokens) if one is TOKENS_BIND else (by_requests, one.requests)
        )
        used = binding.mean(began_ms, ended_ms)
        rows = [
            at_most(
                "G1", f"{one.name}: 429 of the upstream", refused(calls), "calls", 0, judged=True
            ),
            at_most(
                "G1",
                f"{one.name}: most requests in any 60 s",
                by_requests.most(),
                "requests",
                one.requests,
                judged=True,
            ),
        ]
        if one.tokens:
            most = by_tokens.most()
            what = f"{one.name}: most tokens in any 60 s"
            rows.append(at_most("G1", what, most, "tokens", one.tokens, judged=True))
        if one is RPM_10:
            what = f"{one.name}: requests in 60 s, the mean of all windows of the run"
            rows.append(at_least("G3", what, used, "requests", G3_BAR, judged=judged))
        else:
            unit = "tokens" if one is TOKENS_BIND else "requests"
            what = f"{one.name}: {unit} in 60 s, the mean of all windows of the run"
            share = used / limit * 100
            rows.append(
                at_least("G1.use", what, share, "% of the limit", UTILISATION_BAR, judged=judged)
            )
        total = binding.between(began_ms, ended_ms)
        whole = total / limit / (ended_ms - began_ms) * WINDOW_MS * 100
        rows.append(
            figure(
                "G1.whole", f"{one.name}: accepted from the start on", whole, "% of limit x time"
            )
        )
        statuses = ", ".join(
            f"{count} x {status}" for status, count in sorted(seen.statuses.items())
        )
        rows.append(figure("G1.sent", f"{one.name}: answers ({statuses})", len(seen.sent_ms), ""))
        rows.append(
            figure("G1.spread", f"{one.name}: dispatchers that sent", self._senders(one), "")
        )
        return rows

    def _senders(self, one: Limited) -> int:
        """Sessions are numbered: those of one process count once."""
        spent = self._site.watch.spent
        names = {
            s.rpartition(".")[0]
            for (s, flow), n in spent.items()
            if flow.deployment == one.name and n
        }
        return len(names)

    def _kill_rows(self) -> list[Row]:
        worst_s = max((kill.given_ms - kill.at_ms) / 1000 for kill in self._kills)
        what = f"kill -9 of the owner until the next new grant, worst of {len(self._kills)}"
        rows = [at_most("G4", what, worst_s, "s", G4_BAR_S, judged=True)]
        spans = Spans(accepted(self._site.calls(RPM_600.name)))
        shares = [
            spans.between(kill.at_ms, kill.at_ms + WINDOW_MS) / RPM_600.requests * 100
            for kill in self._kills
        ]
        return [
            *rows,
            at_least(
                "G4",
                f"{RPM_600.name}: used in the 60 s from the kill on, the worse",
                min(shares),
                "% of the limit",
                UTILISATION_BAR,
                judged=self._seconds >= SHORTEST_S,
            ),
        ]

    def _cost_rows(self) -> list[Row]:
        busy = max(one.share for one in self._owned) * 100
        records = max(one.records_per_s for one in self._owned)
        return [
            at_most(
                "G12",
                f"{DISPATCHERS} dispatchers under this load: records of both topics",
                records,
                "/s",
                RECORDS_BAR,
                judged=True,
            ),
            at_most(
                "G12",
                "CPU of the owner under this load",
                busy,
                "% of a core",
                BUSY_BAR,
                judged=True,
            ),
        ]
