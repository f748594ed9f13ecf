"""What a simulation showed: each limit and how much of it was used, each flow and how long it waited."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import orjson
from rich.console import Console
from rich.table import Table

from headrace.dispatcher.governor.simulator.run import Outcome
from headrace.dispatcher.governor.simulator.story import Story
from headrace.dispatcher.governor.simulator.upstream import Arrival, Window
from headrace.dispatcher.governor.tree import Dimension
from headrace.schemas.limits import Flow


@dataclass(frozen=True, slots=True)
class LimitUse:
    """One limit: the most in any window, and how much of it was used after the first window."""

    scope: str
    dimension: str
    limit: int
    most: int
    used_percent: float


@dataclass(frozen=True, slots=True)
class FlowUse:
    """One flow: requests that came and were admitted, and their waits."""

    deployment: str
    lane: str
    tenant: str
    admitted: int
    wait_p50_s: float
    wait_p99_s: float


@dataclass(frozen=True, slots=True)
class Summary:
    """All of it. `violations` is empty, or Headrace has a bug."""

    offered: int
    admitted: int
    limits: list[LimitUse]
    flows: list[FlowUse]
    violations: list[str]


def summarize(story: Story, outcome: Outcome) -> Summary:
    """Figures of a run."""
    return Summary(
        outcome.offered,
        len(outcome.arrivals),
        [use for window in outcome.windows for use in _limits(story, outcome, window)],
        list(_flows(outcome.arrivals)),
        outcome.violations,
    )


def as_json(summary: Summary) -> str:
    """An object with the fields of `Summary`."""
    return orjson.dumps(asdict(summary), option=orjson.OPT_INDENT_2).decode()


def as_tables(summary: Summary, console: Console) -> None:
    """Limits, then flows."""
    limits = Table("limit", "counts", "a minute", "most in 60 s", "used", box=None, pad_edge=False)
    for use in summary.limits:
        row = use.scope, use.dimension, str(use.limit), str(use.most), f"{use.used_percent:.1f} %"
        limits.add_row(*row, style="red" if use.most > use.limit else None)
    console.print(limits)
    flows = Table("deployment", "lane", "tenant", box=None, pad_edge=False)
    for heading in ("admitted", "wait p50", "p99"):
        flows.add_column(heading, justify="right")
    for flow in summary.flows:
        waits = f"{flow.wait_p50_s:.1f} s", f"{flow.wait_p99_s:.1f} s"
        flows.add_row(flow.deployment, flow.lane, flow.tenant, str(flow.admitted), *waits)
    console.print()
    console.print(flows)
    console.print(f"\n{summary.admitted} of {summary.offered} requests were admitted.")
    for violation in summary.violations:
        console.print(f"violated: {violation}", style="red", markup=False)


def amount(arrival: Arrival, dimension: Dimension) -> int:
    """What a request counts."""
    units = arrival.units
    return {
        Dimension.REQUESTS: units.requests,
        Dimension.INPUT_TOKENS: units.input,
        Dimension.OUTPUT_TOKENS: units.output,
        Dimension.TOTAL_TOKENS: units.input + units.output,
        Dimension.SEATS: 1,
    }[dimension]


def _limits(story: Story, outcome: Outcome, window: Window) -> Iterator[LimitUse]:
    scope = window.scope
    measured_ms = story.until_ms - scope.window_ms
    late = [
        one
        for one in outcome.arrivals
        if scope.window_ms <= one.at_ms < story.until_ms and scope.holds(one.flow)
    ]
    for dimension, cap in scope.caps.named():
        used = sum(amount(one, dimension) for one in late)
        fits = cap * measured_ms / scope.window_ms
        percent = 100 * used / fits if fits > 0 else 0.0
        most = window.most[dimension]
        yield LimitUse(scope.name, dimension.value, cap, most, round(percent, 1))


def _flows(arrivals: Sequence[Arrival]) -> Iterator[FlowUse]:
    waits: dict[Flow, list[int]] = {}
    for one in arrivals:
        waits.setdefault(one.flow, []).append(one.waited_ms)
    for flow, values in sorted(waits.items()):
        values.sort()
        p50, p99 = (values[min(len(values) - 1, int(len(values) * q))] for q in (0.5, 0.99))
        yield FlowUse(*flow[:3], len(values), p50 / 1000, p99 / 1000)
