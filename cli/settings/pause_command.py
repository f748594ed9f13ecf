"""`headrace pause`, `headrace drain` and `headrace resume`: hold back a lane, a tenant or a deployment.

Exit codes: 0 done; 2 wrong arguments; 11 there is no such lane or deployment; 12 Kafka cannot be reached;
13 Kafka denies it; 14 Kafka refused it; 16 the topic is missing; 17 somebody else changed it meanwhile;
78 the configuration cannot be used.
"""

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from headrace.cli.roles import ConfigFile
from headrace.cli.settings.desk import open_desk
from headrace.cli.settings.errors import Refused
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
from headrace.cli.settings.show import as_json, pause_table
from headrace.cli.topics.command import Output, OutputForm
from headrace.schemas.config.errors import did_you_mean
from headrace.schemas.config.model import Config
from headrace.schemas.settings import Pause, Scope, Verb, pause_place

What = Annotated[Scope, typer.Argument(help="What kind of thing.", show_default=False)]
Name = Annotated[str, typer.Argument(help="Its name in the configuration.", show_default=False)]


def pause(
    what: What,
    name: Name,
    config: ConfigFile,
    reason: Reason = "",
    lasting: Lasting = "",
    by: By = "",
    seen: Seen = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """Start nothing more of it, within a second; what runs goes on to its end.

    Requests wait and keep their deadlines. Those that a paused deployment would have got go to another
    one of their model, where there is one. Credits in hand are given back.
    """
    _set(config, _wanted(Verb.PAUSE, what, name, reason, lasting, by), seen, output)


def drain(
    what: What,
    name: Name,
    config: ConfigFile,
    reason: Reason = "",
    lasting: Lasting = "",
    by: By = "",
    seen: Seen = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """As pause, but what was granted credits of a limit already may still be sent."""
    _set(config, _wanted(Verb.DRAIN, what, name, reason, lasting, by), seen, output)


def resume(
    what: What,
    name: Name,
    config: ConfigFile,
    reason: Reason = "",
    by: By = "",
    seen: Seen = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """End a pause or a drain: what waits is started in its order."""
    _set(config, _wanted(Verb.RESUME, what, name, reason, "", by), seen, output)


def _wanted(verb: Verb, what: Scope, name: str, reason: str, lasting: str, by: str) -> Pause:
    at_ms = now_ms()
    return Pause(
        version=1,
        verb=verb,
        scope=what,
        name=checked(name, "NAME"),
        reason=checked(reason, "--reason"),
        by=operator(by),
        at_ms=at_ms,
        until_ms=until_ms(lasting, at_ms),
    )


def _set(config: Path, wanted: Pause, seen: int | None, output: Output) -> None:
    read = loaded(config)
    with told():
        note = known(read, wanted.scope, wanted.name)
        written = asyncio.run(set_pause(read, wanted, seen))
    if note:
        typer.echo(note, err=True)
    if output is Output.JSON:
        typer.echo(as_json(written))
    else:
        pause_table([written], Console())


def known(config: Config, what: Scope, name: str) -> str:
    """What is to be said of a name that the configuration does not have. Errors: `Refused`."""
    names = {
        Scope.LANE: [str(lane) for lane in config.lanes],
        Scope.DEPLOYMENT: [str(one.name) for one in config.deployments],
        Scope.TENANT: [str(tenant) for tenant in config.tenants],
    }[what]
    if name in names:
        return ""
    message = f"no {what.value} of the configuration is called {name}" + did_you_mean(name, names)
    if what is Scope.TENANT and name:
        return message + "; requests that name it are held all the same"
    raise Refused(message)


async def set_pause(config: Config, wanted: Pause, seen: int | None) -> Pause:
    """Write it as the next version. Errors: `SettingsError`, `TopicsError`."""
    async with open_desk(config) as desk:
        version = desk.version(pause_place(wanted.scope, wanted.name), seen)
        return await desk.write(msgspec.structs.replace(wanted, version=version))
