"""`headrace ingress` and `headrace dispatcher`: hand the configuration to the role."""

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[
    Path, typer.Option("--config", "-c", envvar="HEADRACE_CONFIG", help="The YAML configuration.")
]


def ingress(config: ConfigFile) -> None:
    """Run the HTTP side until SIGTERM. Exit code 78: the configuration cannot be used."""
    from headrace.ingress.app import run

    run(config)


def dispatcher(config: ConfigFile) -> None:
    """Run the side that calls upstreams until SIGTERM; running calls may finish first."""
    from headrace.dispatcher.app import run

    run(config)
