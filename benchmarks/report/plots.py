"""The plots, as small SVG files whose bytes depend on the figures only."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmarks.load.jobs import Quantiles

COLOURS = {"direct": "#9a9a9a", "bare": "#3b7dd8", "product": "#d8663b"}
SHARES = [percent / 100 for percent in range(101)]


def new_figure(columns: int, title: str) -> tuple[Figure, list[Axes]]:
    """An empty figure with `columns` plots side by side."""
    mpl.rcParams.update({"svg.hashsalt": "headrace", "svg.fonttype": "none", "font.size": 9})
    figure = Figure(figsize=(4.2 * columns, 3.2), layout="constrained")
    figure.suptitle(title, fontsize=10)
    axes = [figure.add_subplot(1, columns, number + 1) for number in range(columns)]
    for one in axes:
        one.grid(visible=True, alpha=0.3)
    return figure, axes


def save(figure: Figure, path: Path) -> None:
    """Without a date, so that equal figures give equal files."""
    figure.savefig(path, format="svg", metadata={"Date": None})


def draw_rounds(axes: Axes, unit: str, series: Mapping[str, Sequence[float]]) -> None:
    """One line a subject, one point a round."""
    for name, values in series.items():
        axes.plot(range(1, len(values) + 1), values, "o-", color=COLOURS[name], label=name)
    axes.set_xlabel("round")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel(unit)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)


def draw_curves(axes: Axes, what: str, curves: Mapping[str, Sequence[Quantiles]]) -> None:
    """Share of requests over milliseconds: at each percent the median of the windows."""
    for name, windows in curves.items():
        columns = zip(*(window.curve for window in windows), strict=True)
        values = [max(median(column), 0.01) for column in columns]
        axes.plot(values, SHARES, color=COLOURS[name], label=name)
    axes.set_xscale("log")
    axes.set_xlabel(f"{what}, ms")
    axes.set_ylabel("share")
    axes.legend(frameon=False)
