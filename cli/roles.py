"""`headrace ingress`, `headrace dispatcher` and `headrace governor`: hand the configuration to the role."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[
    Path, typer.Option("--config", "-c", envvar="HEADRACE_CONFIG", help="The YAML configuration.")
]


def ingress(config: ConfigFile) -> None:
    """Run the HTTP side until SIGTERM. Exit code 78: the configuration cannot be used."""
    from headrace.ingress.app import run

    serve(run, config)


def dispatcher(config: ConfigFile) -> None:
    """Run the side that calls upstreams until SIGTERM; running calls may finish first.

    Exit code 78: the configuration cannot be used.
    """
    from headrace.dispatcher.app import run

    serve(run, config)


def governor(config: ConfigFile) -> None:
    """Run the side that hands out what limits allow, until SIGTERM; of several one does, the others wait.

    Exit code 78: the configuration cannot be used.
    """
    from headrace.dispatcher.governing.app import run

    serve(run, config)


def serve(run: Callable[[Path], None], config: Path) -> None:
    """Run a role that is imported."""
    from headrace.telemetry.connections import tell_of_cut_connections

    tell_of_cut_connections()
    with problems_shown():
        run(config)


@contextmanager
def problems_shown() -> Iterator[None]:
    """A configuration that cannot be used ends the command with its problems, not with a traceback."""
    from headrace.schemas.config.errors import ConfigError

    try:
        yield
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from None


@contextmanager
def writable(file: Path, option: str) -> Iterator[None]:
    """A file that cannot be written is a wrong argument."""
    try:
        yield
    except OSError as error:
        message = f"{file} cannot be written: {error.strerror or type(error).__name__}"
        raise typer.BadParameter(message, param_hint=option) from None
