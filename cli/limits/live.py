"""`headrace limits show`, `set` and `reset`: limits of a running installation.

Exit codes: 0 done; 2 wrong arguments; 11 refused by a rule; 12 Kafka cannot be reached; 13 Kafka denies it;
14 Kafka refused it; 16 the topic is missing; 17 somebody else changed it meanwhile; 78 the configuration
cannot be used.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from headrace.cli.limits.change import proposed, scope_named
from headrace.cli.limits.now import newest
from headrace.cli.limits.show import as_json, as_tables, collected
from headrace.cli.roles import ConfigFile
from headrace.cli.settings.desk import open_desk
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
from headrace.cli.settings.show import as_json as setting_as_json
from headrace.cli.topics.command import Output, OutputForm
from headrace.schemas.config.model import Config
from headrace.schemas.outlook import Outlook
from headrace.schemas.settings import Limit, Settings, limit_place

ScopeName = Annotated[
    str,
    typer.Argument(help="A deployment, or pool:NAME, model:NAME, tenant:NAME.", show_default=False),
]
Amount = int | None
Change = Callable[[Config, Mapping[str, Limit], str], Limit]


def show(config: ConfigFile, output: OutputForm = Output.TABLE) -> None:
    """Show each limit: as configured, as changed, what counts against it now; pauses, and who waits.

    `in force` and `used now` are what the governor tells, credits in hand included.
    """
    read = loaded(config)
    with told():
        settings, outlook, at_ms = asyncio.run(_look(read))
    found = collected(read, settings, outlook, at_ms)
    if output is Output.JSON:
        typer.echo(as_json(found))
    else:
        as_tables(found, settings, Console(), at_ms)


def set_command(
    scope: ScopeName,
    config: ConfigFile,
    *,
    requests_per_min: Annotated[Amount, typer.Option(help="Requests that are begun.")] = None,
    input_tokens_per_min: Annotated[Amount, typer.Option(help="Tokens that are sent.")] = None,
    output_tokens_per_min: Annotated[Amount, typer.Option(help="Tokens of answers.")] = None,
    tokens_per_min: Annotated[Amount, typer.Option(help="Both together.")] = None,
    concurrency: Annotated[Amount, typer.Option(help="Calls in flight.")] = None,
    reason: Reason = "",
    lasting: Lasting = "",
    by: By = "",
    seen: Seen = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """Change limits that are configured, now and without a restart; what is not named stays.

    Refused before anything is written: below 1, above the limit of the pool or model around it, or one that
    the configuration does not have; and where what is not named ends at another time, since all changes of a
    scope end together. `limits reset` goes back to the configuration.
    """
    rates = {
        "requests_per_minute": requests_per_min,
        "input_tokens_per_minute": input_tokens_per_min,
        "output_tokens_per_minute": output_tokens_per_min,
        "tokens_per_minute": tokens_per_min,
        "concurrency": concurrency,
    }
    if all(amount is None for amount in rates.values()):
        raise typer.BadParameter("no limit is named: --requests-per-min 60", param_hint="SCOPE")

    ends_ms = until_ms(lasting, now_ms())

    def change(read: Config, now: Mapping[str, Limit], name: str) -> Limit:
        return proposed(read, now, name, rates, ends_ms)

    _set(config, scope, change, _words(reason, by, lasting), seen, output)


def reset(
    scope: ScopeName,
    config: ConfigFile,
    reason: Reason = "",
    by: By = "",
    seen: Seen = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """Go back to the limits of the configuration."""
    _set(config, scope, _nothing, _words(reason, by, ""), seen, output)


def _nothing(_config: Config, _now: Mapping[str, Limit], scope: str) -> Limit:
    return Limit(version=1, scope=scope)


def _words(reason: str, by: str, lasting: str) -> Mapping[str, object]:
    at_ms = now_ms()
    return {
        "reason": checked(reason, "--reason"),
        "by": operator(by),
        "at_ms": at_ms,
        "until_ms": until_ms(lasting, at_ms),
    }


def _set(
    config: Path, scope: str, change: Change, words: Mapping[str, object], seen: int | None,
    output: Output,
) -> None:  # fmt: skip
    read = loaded(config)
    with told():
        written = asyncio.run(_write(read, scope, change, words, seen))
    if output is Output.JSON:
        typer.echo(setting_as_json(written))
        return
    rates = ", ".join(f"{name} {amount}" for name, amount in written.rates().items())
    typer.echo(f"{written.scope}: {rates or 'as configured'} (version {written.version})")


async def _write(
    config: Config, word: str, change: Change, words: Mapping[str, object], seen: int | None
) -> Limit:
    scope = scope_named(config, word)
    async with open_desk(config) as desk:
        version = desk.version(limit_place(scope), seen)
        limit = change(config, desk.settings.limits(now_ms()), scope)
        return await desk.write(msgspec.structs.replace(limit, version=version, **words))


async def _look(config: Config) -> tuple[Settings, Outlook | None, int]:
    async with open_desk(config) as desk:
        settings = desk.settings
    found = await newest(config)
    return (settings, None, now_ms()) if found is None else (settings, *found)
