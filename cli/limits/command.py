"""The command line of `headrace limits`.

Exit codes of `simulate`: 0 played; 1 a limit was exceeded, which would be a bug; 2 wrong arguments or
traffic; 78 the configuration cannot be used.
"""

import os
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from headrace.cli.limits import live
from headrace.cli.limits.plot import draw
from headrace.cli.limits.summary import as_json, as_tables, summarize
from headrace.cli.limits.traffic import Load, TrafficError, checked, multiple, read_load
from headrace.cli.roles import ConfigFile, problems_shown, writable
from headrace.dispatcher.governor.configured import policy_of, tree_of
from headrace.dispatcher.governor.simulator.run import simulate
from headrace.dispatcher.governor.simulator.story import Story
from headrace.dispatcher.governor.tree import Tree
from headrace.schemas.config.load import load
from headrace.schemas.config.model import Config

VIOLATED = 1
WRONG = 2

app = typer.Typer(no_args_is_help=True, add_completion=False)


class Output(StrEnum):
    """How the figures are printed."""

    TABLE = "table"
    JSON = "json"


@app.callback()
def limits() -> None:
    """See and change limits, and what they would do."""


app.command("show")(live.show)
app.command("set")(live.set_command)
app.command("reset")(live.reset)


@app.command("simulate")
def simulate_command(
    config: ConfigFile,
    traffic: Annotated[Path | None, typer.Option(help="A YAML file that says what comes.")] = None,
    demand: Annotated[
        float, typer.Option(min=0.01, max=100, help="Without a file: times what fits.")
    ] = 2.0,
    size: Annotated[
        tuple[int, int], typer.Option(min=0, help="Without a file: input and output tokens.")
    ] = (500, 500),
    dispatchers: Annotated[int, typer.Option(min=1, max=64, help="Without a file.")] = 4,
    minutes: Annotated[float, typer.Option(min=0.1, max=120, help="Without a file.")] = 5,
    *,
    seed: Annotated[int, typer.Option(help="Another one has other requests.")] = 0,
    plot: Annotated[Path | None, typer.Option(help="File for a plot, as SVG.")] = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="For whom.")] = Output.TABLE,
) -> None:
    """Play traffic against the limits of a configuration, on virtual time and without Kafka.

    Of concurrency that is learned all is played as if it were there.
    """
    with problems_shown():
        settings = load(config, os.environ)
    try:
        if traffic is not None:
            played = read_load(traffic)
        else:
            flows = multiple(settings, tree_of(settings), demand, size)
            played = Load(dispatchers=dispatchers, minutes=minutes, flows=flows)
        story = story_of(settings, played, seed)
    except TrafficError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(WRONG) from None
    outcome = simulate(story)
    summary = summarize(story, outcome)
    if plot is not None:
        with writable(plot, "--plot"):
            plot.write_text(draw(story, outcome), encoding="utf-8")
    if output is Output.JSON:
        typer.echo(as_json(summary))
    else:
        as_tables(summary, Console())
    if summary.violations:
        raise typer.Exit(VIOLATED)


def story_of(config: Config, played: Load, seed: int) -> Story:
    """What is simulated. Raises `TrafficError`."""
    tree = Tree(tuple(replace(scope, adaptive=None) for scope in tree_of(config).scopes))
    if not tree.scopes:
        raise TrafficError("no limit for a minute is configured: there is nothing to simulate")
    return Story(
        seed,
        tree,
        checked(config, played.flows),
        played.dispatchers,
        int(played.minutes * 60_000),
        policy_of(config),
    )
