"""The command line of `headrace dlq`.

Exit codes: 0 done, or nothing to do; 2 wrong arguments; 4 no such dead letter; 11 refused by a rule,
nothing was changed; 12 Kafka cannot be reached; 13 Kafka denies it; 14 Kafka refused it; 15 nobody
said yes; 16 the topic is missing; 78 the configuration cannot be used.
"""

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from headrace.cli.dlq.errors import NothingChosen
from headrace.cli.dlq.purge import measure
from headrace.cli.dlq.purge import purge as carry_out
from headrace.cli.dlq.replays import Plan
from headrace.cli.dlq.selection import Filter
from headrace.cli.dlq.show import as_json, as_page, as_table
from headrace.cli.dlq.tell import asker, bar, perform, purge_as_json, told
from headrace.cli.dlq.when import moment
from headrace.cli.dlq.work import Order, newest, not_found, value_of
from headrace.cli.roles import ConfigFile, problems_shown, writable
from headrace.cli.topics.command import Output, OutputForm
from headrace.schemas.config.load import load
from headrace.schemas.config.model import Config
from headrace.schemas.names import LaneName

MOST = 100_000

app = typer.Typer(help="Look at dead letters, and replay them.", no_args_is_help=True)

Reasons = Annotated[list[str] | None, typer.Option("--reason", help="Only these reasons.")]
TenantIs = Annotated[str, typer.Option("--tenant", help="Only of this tenant; a pattern may be.")]
ModelIs = Annotated[str, typer.Option("--model", help="Only of this model; a pattern may be.")]
Since = Annotated[str, typer.Option(help="Not older: an age like 2h, or 2026-11-24T08:00 (UTC).")]
Until = Annotated[str, typer.Option(help="Older than this; written as --since.")]
Ids = Annotated[list[str] | None, typer.Argument(help="Request ids, or places as list shows them.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command("list")
def list_command(
    config: ConfigFile,
    reason: Reasons = None,
    tenant: TenantIs = "",
    model: ModelIs = "",
    since: Since = "",
    until: Until = "",
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="At most so many.")] = 100,
    output: OutputForm = Output.TABLE,
) -> None:
    """Show the newest dead letters: what, why, whose, where from. Never a prompt.

    With `--output json` one object a line.
    """
    wanted = _filter((), reason, tenant, model, since, until)
    with told(), bar() as progress:
        found = asyncio.run(newest(_load(config), wanted, limit, progress))
    if output is Output.TABLE:
        as_table(found.chosen, found.matched, Console())
    elif found.chosen:
        typer.echo(as_json(found.chosen))


@app.command("show")
def show_command(
    config: ConfigFile,
    letter: Annotated[str, typer.Argument(help="A request id, or a place as list shows it.")],
    body: Annotated[
        bool, typer.Option("--body", help="Only the original value, byte for byte.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Write the value to this file.")] = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """Show all that is kept of one request, each of its letters; the value only with --body or --out.

    Values of headers that are not Headrace's own are not shown. Exit code 4: there is no such letter.
    """
    read = _load(config)
    wanted = Filter(ids=frozenset((letter,)))
    value: bytes | None = None
    with told(), bar() as progress:
        found = asyncio.run(newest(read, wanted, MOST, progress)).chosen
        if not found:
            raise not_found({letter})
        if body or out is not None:
            value = asyncio.run(value_of(read, found[0].letter, progress))
    if out is not None:
        with writable(out, "--out"):
            out.write_bytes(value or b"")
    elif body:
        sys.stdout.buffer.write(value or b"")
    elif output is Output.JSON:
        typer.echo(as_json(found))
    else:
        for one in found:
            as_page(one, Console(highlight=False))


@app.command("replay")
def replay_command(
    config: ConfigFile,
    ids: Ids = None,
    *,
    reason: Reasons = None,
    tenant: TenantIs = "",
    model: ModelIs = "",
    since: Since = "",
    until: Until = "",
    lane: Annotated[str, typer.Option(help="Another lane than the one it came from.")] = "",
    new_id: Annotated[
        bool, typer.Option("--new-id", help="Under a new id; of an HTTP request: as a job.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Also what was replayed before.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="At most so many.")] = 1000,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: OutputForm = Output.TABLE,
) -> None:
    """Send requests once more: same value, key, headers and id, on the lane they came from.

    `headrace-replays` counts on, the deadline is a fresh one, limits hold as for any request. What was
    replayed is marked and left out from then on (--again takes it too). Without ids it asks first.

    Where the answer goes: to the producer's own reply topic, as the first time. Nobody waits any more
    for the answer of an HTTP request: with --new-id it is replayed as a job, and the printed id is
    read under /v1/jobs. A job, a keyed or a resumable request has the outcome `dead_lettered` for
    good, so its replay needs --new-id.

    Exit codes: 4 an id without a letter, 11 all was left out, 15 not confirmed.
    """
    read = _load(config)
    if lane and LaneName(lane) not in read.lanes:
        raise typer.BadParameter(f"{lane!r} is none of the lanes", param_hint="--lane")
    order = Order(
        wanted=_filter(ids or (), reason, tenant, model, since, until),
        plan=Plan(lane=LaneName(lane) if lane else None, new_id=new_id),
        limit=limit,
        again=again,
        dry_run=dry_run,
    )
    with told():
        asyncio.run(perform(read, order, asker(bool(ids) or yes, "Replay"), output))


@app.command("purge")
def purge_command(
    config: ConfigFile,
    *,
    before: Annotated[
        str, typer.Option(help="Letters older than this: an age like 7d, or a time.")
    ] = "",
    all_: Annotated[bool, typer.Option("--all", help="All letters.")] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: OutputForm = Output.TABLE,
    reason: Annotated[list[str] | None, typer.Option(hidden=True)] = None,
    tenant: Annotated[str, typer.Option(hidden=True)] = "",
    model: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Delete old dead letters for good. Kafka deletes by place only, so there is no filter but the age.

    With `--output json` it prints one object when it is over.

    Exit codes: 11 a filter that cannot be, 15 not confirmed.
    """
    read = _load(config)
    with told():
        if reason or tenant or model:
            message = "Kafka deletes the beginning of a partition, never single records"
            raise NothingChosen(message, "use --before; what stays is deleted by its age")
        if bool(before) == all_:
            raise NothingChosen("neither --before nor --all was told, or both", "choose one")
        with bar() as progress:
            cut = asyncio.run(
                measure(read, _moment(before, "--before") if before else None, progress)
            )
        as_text = output is Output.TABLE
        if as_text:
            typer.echo(f"{cut.letters} dead letters, {cut.pending} of them never replayed")
        deletes = bool(cut.ends) and not dry_run
        if deletes:
            asker(yes, "Delete")(cut.letters)
            asyncio.run(carry_out(read, cut))
        if not as_text:
            typer.echo(purge_as_json(cut, dry_run=dry_run, deleted=deletes))
        elif deletes:
            typer.echo("deleted")


def _filter(
    ids: list[str] | tuple[str, ...],
    reasons: list[str] | None,
    tenant: str,
    model: str,
    since: str,
    until: str,
) -> Filter:
    return Filter(
        ids=frozenset(ids),
        reasons=frozenset(reasons or ()),
        tenant=tenant,
        model=model,
        since_ms=_moment(since, "--since") if since else 0,
        until_ms=_moment(until, "--until") if until else None,
    )


def _moment(text: str, option: str) -> int:
    try:
        return moment(text, round(time.time() * 1000))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def _load(config: Path) -> Config:
    with problems_shown():
        return load(config, os.environ)
