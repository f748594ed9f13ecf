"""A small SVG file: what was admitted in the last window, against the limit.

Its bytes depend on the run only.
"""

from collections.abc import Sequence
from html import escape

from headrace.cli.limits.summary import amount
from headrace.dispatcher.governor.simulator.run import Outcome
from headrace.dispatcher.governor.simulator.story import Story
from headrace.dispatcher.governor.simulator.upstream import Arrival
from headrace.dispatcher.governor.tree import Dimension, Scope

WIDTH, HEIGHT, LEFT, TOP = 640, 150, 60, 26
POINTS = 400
LINE, CAP, GRID = "#d8663b", "#3b7dd8", "#9a9a9a"


def draw(story: Story, outcome: Outcome) -> str:
    """One panel for each limit, one above the other."""
    limits = [
        (window.scope, dimension, cap)
        for window in outcome.windows
        for dimension, cap in window.scope.caps.named()
    ]
    height = len(limits) * (HEIGHT + 2 * TOP)
    panels = [
        _panel(story, outcome.arrivals, *limit, number * (HEIGHT + 2 * TOP) + TOP)
        for number, limit in enumerate(limits)
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH + LEFT + 20}" height="{height}"'
    style = 'font-family="sans-serif" font-size="11"'
    return f"{head} {style}>\n" + "\n".join(panels) + "\n</svg>\n"


def _panel(
    story: Story,
    arrivals: Sequence[Arrival],
    scope: Scope,
    dimension: Dimension,
    cap: int,
    top: int,
) -> str:
    counts = _counts(story, arrivals, scope, dimension)
    most = 1.1 * max(cap, *counts)

    def place(number: float, count: float) -> str:
        x, y = LEFT + WIDTH * number / POINTS, top + HEIGHT * (1 - count / most)
        return f"{x:.1f},{y:.1f}"

    line = " ".join(place(number, count) for number, count in enumerate(counts))
    title = escape(f"{scope.name}: {dimension} in the last {scope.window_ms // 1000} s")
    minutes = story.until_ms / 60_000
    bottom = top + HEIGHT
    right, axis = LEFT + WIDTH, LEFT - 6
    limit_y = place(0, cap).partition(",")[2]
    box = f'x="{LEFT}" y="{top}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="{GRID}"'
    dashes = 'stroke-dasharray="4 3" fill="none"'
    return "\n".join(
        (
            f'<text x="{LEFT}" y="{top - 6}">{title}</text>',
            f"<rect {box}/>",
            f'<polyline points="{place(0, cap)} {place(POINTS, cap)}" stroke="{CAP}" {dashes}/>',
            f'<polyline points="{line}" stroke="{LINE}" fill="none"/>',
            f'<text x="{axis}" y="{limit_y}" text-anchor="end">{cap}</text>',
            f'<text x="{axis}" y="{bottom}" text-anchor="end">0</text>',
            f'<text x="{right}" y="{bottom + 14}" text-anchor="end">{minutes:g} min</text>',
        )
    )


def _counts(
    story: Story, arrivals: Sequence[Arrival], scope: Scope, dimension: Dimension
) -> list[int]:
    """At `POINTS` + 1 times: what arrived within the window before."""
    mine = [(one.at_ms, amount(one, dimension)) for one in arrivals if scope.holds(one.flow)]
    counts: list[int] = []
    first = last = total = 0
    for number in range(POINTS + 1):
        now = story.until_ms * number // POINTS
        while last < len(mine) and mine[last][0] <= now:
            total += mine[last][1]
            last += 1
        while first < last and mine[first][0] <= now - scope.window_ms:
            total -= mine[first][1]
            first += 1
        counts.append(total)
    return counts
