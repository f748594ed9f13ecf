"""`headrace keys create`: a new API key, shown once, and the digest that the configuration holds."""

import secrets
from typing import Annotated

import typer

from headrace.cli.config_command import read_or_exit
from headrace.cli.roles import ConfigFile
from headrace.schemas.config.errors import EX_CONFIG
from headrace.schemas.keys import RANDOM_BYTES, digest, mint, well_formed
from headrace.schemas.names import Tenant

app = typer.Typer(help="API keys of tenants.", no_args_is_help=True)


@app.callback()
def _keys() -> None:
    """Keeps `create` a subcommand, as long as it is the only one."""


@app.command()
def create(
    tenant: Annotated[str, typer.Option("--tenant", "-t", help="Whose key it is.")],
    config: ConfigFile,
) -> None:
    """Print a new key once, and its digest for `tenants.<tenant>.keys`.

    The key goes to standard output alone, so that it can be piped into a secret store. It is kept
    nowhere. Exit code 78: the configuration cannot be used or has no `auth.pepper`.
    """
    auth = read_or_exit(config).config.auth
    if auth.pepper is None:
        typer.echo(f"{config}: auth.pepper: is required to make keys", err=True)
        raise typer.Exit(EX_CONFIG)
    key = mint(Tenant(tenant), secrets.token_bytes(RANDOM_BYTES))
    if well_formed(key) is None:
        raise typer.BadParameter(f"{tenant!r} cannot be a tenant's name", param_hint="--tenant")
    typer.echo(key)
    typer.echo(f"\ntenants:\n  {tenant}:\n    keys:", err=True)
    typer.echo(f"    - {digest(key, auth.pepper.get_secret_value())}", err=True)
