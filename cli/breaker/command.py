"""The command line of `headrace breaker`.

Exit codes: 0 done; 2 wrong arguments; 11 there is no such deployment; 12 Kafka cannot be reached; 13 Kafka
denies it; 14 Kafka refused it; 16 a topic is missing; 17 somebody else changed it meanwhile; 78 the
configuration cannot be used.
"""

import asyncio
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from headrace.cli.breaker.show import (
    history_as_json,
    history_table,
    rows_as_json,
    rows_table,
    settings_as_json,
    settings_table,
)
from headrace.cli.breaker.table import read_breakers
from headrace.cli.roles import ConfigFile
from headrace.cli.settings.desk import open_desk
from headrace.cli.settings.errors import Refused, SettingsError
from headrace.cli.settings.options import (
    By,
    Lasting,
    Reason,
    Seen,
    checked,
    loaded,
    now_ms,
    operator,
    told,
    until_ms,
)
from headrace.cli.topics.command import Output, OutputForm
from headrace.cli.topics.errors import TopicsError
from headrace.schemas.breaker_log import BreakerLog
from headrace.schemas.breakers import Row, State
from headrace.schemas.config.errors import did_you_mean
from headrace.schemas.config.model import Config
from headrace.schemas.names import DeploymentName
from headrace.schemas.settings import Breaker, breaker_place

app = typer.Typer(help="See and set breakers of deployments.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="A deployment of the configuration.", show_default=False)]
Names = Annotated[
    list[str] | None, typer.Argument(help="Deployments; without any: all.", show_default=False)
]


class Way(StrEnum):
    """What an operator can force."""

    OPEN = "open"
    CLOSED = "closed"


class Mode(StrEnum):
    """How a breaker is to work."""

    ENFORCE = "enforce"
    METRICS_ONLY = "metrics-only"
    DISABLED = "disabled"


FORCED = {Way.OPEN: State.FORCED_OPEN, Way.CLOSED: State.FORCED_CLOSED}
MODES = {Mode.ENFORCE: None, Mode.METRICS_ONLY: State.METRICS_ONLY, Mode.DISABLED: State.DISABLED}


@app.command("show")
def show_command(
    config: ConfigFile, deployments: Names = None, output: OutputForm = Output.TABLE
) -> None:
    """Show the breakers as all dispatchers obey them.

    `share` is that of the usual calls, `opens again` when an open one is tried again, `version` that of what
    operators have set on it, for `--seen`.
    """
    read = loaded(config)
    with told():
        names = _known(read, deployments)
        log, versions = asyncio.run(_look(read, names))
    chosen = [log.rows.get(name) or _untold(name) for name in names]
    if output is Output.JSON:
        typer.echo(rows_as_json(chosen, versions))
    else:
        rows_table(chosen, versions, Console())


@app.command("history")
def history_command(
    config: ConfigFile,
    deployments: Names = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="The newest so many.")] = 100,
    output: OutputForm = Output.TABLE,
) -> None:
    """Show when breakers changed their state: who, when, why, and what was counted."""
    read = loaded(config)
    with told():
        names = frozenset(_known(read, deployments))
        past = asyncio.run(read_breakers(read)).history()
    chosen = [one for one in past if not deployments or one.deployment in names][-limit:]
    if output is Output.JSON:
        typer.echo(history_as_json(chosen))
    else:
        history_table(chosen, Console())


@app.command("force")
def force_command(
    deployment: Name,
    way: Annotated[Way, typer.Argument(help="How it is to stay.", show_default=False)],
    config: ConfigFile,
    reason: Reason = "",
    lasting: Lasting = "",
    by: By = "",
    seen: Seen = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """Hold a breaker open (nothing is called) or closed (everything is), until it is reset."""
    _set(config, [deployment], FORCED[way], (reason, lasting, by), seen, output)


@app.command("reset")
def reset_command(
    deployment: Name,
    config: ConfigFile,
    reason: Reason = "",
    by: By = "",
    seen: Seen = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """Close a breaker, and let it decide by itself again, as if nothing had been."""
    _set(config, [deployment], None, (reason, "", by), seen, output)


@app.command("mode")
def mode_command(
    mode: Annotated[Mode, typer.Argument(help="What breakers are to do.", show_default=False)],
    config: ConfigFile,
    deployments: Names = None,
    reason: Reason = "",
    lasting: Lasting = "",
    by: By = "",
    output: OutputForm = Output.TABLE,
) -> None:
    """Let breakers only count what they would refuse, look at nothing, or work as configured again."""
    _set(config, deployments or [], MODES[mode], (reason, lasting, by), None, output)


def _set(
    config: Path,
    names: Sequence[str],
    state: State | None,
    words: tuple[str, str, str],
    seen: int | None,
    output: Output,
) -> None:
    read = loaded(config)
    reason, lasting, by = words
    at_ms = now_ms()
    with told():
        wanted = [
            Breaker(
                version=1,
                deployment=name,
                state=state,
                reason=checked(reason, "--reason"),
                by=operator(by),
                at_ms=at_ms,
                until_ms=until_ms(lasting, at_ms),
            )
            for name in _known(read, names)
        ]
        written = asyncio.run(set_breakers(read, wanted, seen))
    if output is Output.JSON:
        typer.echo(settings_as_json(written))
    else:
        settings_table(written, Console())


async def set_breakers(config: Config, wanted: list[Breaker], seen: int | None) -> list[Breaker]:
    """Write each as the next version. Errors: `SettingsError`, `TopicsError`; they name those that were
    written before.
    """
    written: list[Breaker] = []
    try:
        async with open_desk(config) as desk:
            for one in wanted:
                version = desk.version(breaker_place(one.deployment), seen)
                written.append(await desk.write(msgspec.structs.replace(one, version=version)))
    except (SettingsError, TopicsError) as error:
        if not written:
            raise
        names = ", ".join(one.deployment for one in written)
        raise type(error)(f"{error}; set before that, and kept: {names}") from error
    return written


async def _look(
    config: Config, names: Sequence[DeploymentName]
) -> tuple[BreakerLog, dict[str, int]]:
    log = await read_breakers(config)
    async with open_desk(config) as desk:
        return log, {name: desk.settings.version(breaker_place(name)) for name in names}


def _known(config: Config, names: Sequence[str] | None) -> list[DeploymentName]:
    """These deployments, or all. Errors: `Refused`."""
    there = [one.name for one in config.deployments]
    for name in names or ():
        if name not in there:
            hint = did_you_mean(name, [str(one) for one in there])
            raise Refused(f"no deployment of the configuration is called {name}{hint}")
    return [DeploymentName(name) for name in names] if names else there


def _untold(name: DeploymentName) -> Row:
    """Of a deployment whose breaker no governor has spoken of yet."""
    return Row(deployment=name, epoch=0, state=State.CLOSED, since_ms=0)
