"""The command line of `headrace topics`.

Exit codes: 0 nothing to do, or applied; 10 `plan` found changes that `apply` would make;
11 refused by a rule, nothing was changed; 12 Kafka cannot be reached; 13 Kafka denies it;
14 Kafka refused a change; 78 the configuration cannot be used; 2 wrong arguments.
"""

import asyncio
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from headrace.cli.topics.admin import connect
from headrace.cli.topics.errors import TopicsError
from headrace.cli.topics.plan import Change, pending, plan, refused
from headrace.cli.topics.show import as_json, as_table
from headrace.schemas.config.errors import ConfigError
from headrace.schemas.config.load import load
from headrace.schemas.config.model import Config
from headrace.schemas.topics import DAY_MS, Topics, request_topics, topic_specs

PENDING = 10
REFUSED = 11

app = typer.Typer(no_args_is_help=True, add_completion=False)


class Output(StrEnum):
    """How the difference is printed."""

    TABLE = "table"
    JSON = "json"


ConfigFile = Annotated[
    Path, typer.Option("--config", "-c", envvar="HEADRACE_CONFIG", help="The YAML configuration.")
]
OutputForm = Annotated[Output, typer.Option("--output", "-o", help="For people or for programs.")]


@app.command("plan")
def plan_command(config: ConfigFile, output: OutputForm = Output.TABLE) -> None:
    """Show what apply would do. Exit code 10 when there is something, 11 when it would refuse."""
    changes = _run(config, apply=False)
    _print(changes, output)
    if refused(changes):
        raise typer.Exit(REFUSED)
    if pending(changes):
        raise typer.Exit(PENDING)


@app.command("apply")
def apply_command(config: ConfigFile, output: OutputForm = Output.TABLE) -> None:
    """Create and change topics as configured; never deletes, never shrinks. Safe to repeat."""
    changes = _run(config, apply=True)
    _print(changes, output)
    if refused(changes):
        raise typer.Exit(REFUSED)


async def read_changes(config: Config, *, apply: bool) -> tuple[Change, ...]:
    """Compare Kafka with the configuration, and carry out the difference if asked to.

    With a refused change nothing is carried out. Errors: `TopicsError` and its kinds.
    """
    specs = topic_specs(config)
    async with connect(config.kafka) as admin:
        existing = await admin.existing(spec.name for spec in specs)
        changes = plan(specs, existing, least_retention_ms(config))
        if apply and not refused(changes):
            await admin.apply(specs, changes)
    return changes


def least_retention_ms(config: Config) -> dict[str, int]:
    """Request topics (lanes and their delay tiers) -> the longest deadline + 24 h."""
    longest_ms = max(lane.max_deadline_s for lane in config.lanes.values()) * 1000
    names = Topics(config.kafka.topic_prefix)
    return dict.fromkeys(request_topics(names, config.lanes), longest_ms + DAY_MS)


def _run(file: Path, *, apply: bool) -> tuple[Change, ...]:
    try:
        return asyncio.run(read_changes(load(file, os.environ), apply=apply))
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from None
    except TopicsError as error:
        typer.echo(f"{error.code}: {error}", err=True)
        raise typer.Exit(error.exit_code) from None


def _print(changes: tuple[Change, ...], output: Output) -> None:
    if output is Output.JSON:
        typer.echo(as_json(changes))
    else:
        as_table(changes, Console())
