"""`headrace config check | show | schema`: look at a configuration before a process has to."""

import json
import os
from pathlib import Path

import typer
import yaml

from headrace.cli.roles import ConfigFile, problems_shown
from headrace.schemas.config.load import Reading, examine
from headrace.schemas.reference.config_schema import config_schema

app = typer.Typer(help="Look at a configuration.", no_args_is_help=True)


@app.command()
def check(config: ConfigFile) -> None:
    """Report every problem with its line. Exit code 78: the configuration cannot be used."""
    reading = read_or_exit(config)
    for warning in reading.warnings:
        typer.echo(f"warning: {warning}", err=True)
    count = len(reading.warnings)
    noun = "warning" if count == 1 else "warnings"
    typer.echo(f"{config}: holds" + (f", {count} {noun}" if count else ""))


@app.command()
def show(config: ConfigFile) -> None:
    """Print the configuration as it is in force: defaults, overrides, and no secret."""
    in_force = read_or_exit(config).config.model_dump(mode="json")
    typer.echo(yaml.safe_dump(in_force, sort_keys=False, allow_unicode=True), nl=False)


@app.command()
def schema() -> None:
    """Print the JSON Schema, for editors: `# yaml-language-server: $schema=<file>`."""
    typer.echo(json.dumps(config_schema(), indent=2))


def read_or_exit(config: Path) -> Reading:
    """The configuration; or its problems on standard error and the exit code for them."""
    with problems_shown():
        return examine(config, os.environ)
