"""The command line of `headrace jobs`.

Exit codes: 0 done (for `tail`: the job completed); 2 wrong arguments; 4 no such job; 5 `tail`: the job
ended in an error; 11 `cancel`: the job had ended before; 12 Headrace cannot be reached; 13 the API key
was refused; 14 Headrace refused it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from headrace.cli.jobs.api import WAIT_S, Job, JobsApi
from headrace.cli.jobs.errors import JobsError
from headrace.cli.jobs.show import as_table
from headrace.cli.jobs.tail import follow, problem_of, text_of
from headrace.cli.topics.command import Output, OutputForm

FAILED = 5

app = typer.Typer(help="Look at jobs, cancel and follow them.", no_args_is_help=True)

JobId = Annotated[
    str,
    typer.Argument(help="The id of a job, or the x-request-id of a keyed or resumable request."),
]
Url = Annotated[str, typer.Option("--url", envvar="HEADRACE_URL", help="Ingress, without /v1.")]
Key = Annotated[
    str | None,
    typer.Option(
        "--api-key", envvar="HEADRACE_API_KEY", help="The tenant's key.", show_envvar=True
    ),
]
LOCAL = "http://127.0.0.1:8080"


@app.command()
def get(
    job: JobId,
    url: Url = LOCAL,
    api_key: Key = None,
    wait: Annotated[
        int, typer.Option(min=0, max=WAIT_S, help="Wait so many seconds for its end.")
    ] = 0,
    output: OutputForm = Output.TABLE,
) -> None:
    """Show a job: its state, and its answer once there is one. The exit code does not tell the state."""
    with _told(), JobsApi(url, api_key) as api:
        _print(api.get(job, wait), output)


@app.command()
def cancel(
    job: JobId, url: Url = LOCAL, api_key: Key = None, output: OutputForm = Output.TABLE
) -> None:
    """Cancel a job. Exit code 0 also where it was cancelled before, 11 where it ended otherwise."""
    with _told(), JobsApi(url, api_key) as api:
        _print(api.cancel(job), output)


@app.command()
def tail(
    job: JobId,
    url: Url = LOCAL,
    api_key: Key = None,
    after: Annotated[str, typer.Option(help="Go on after this event id.")] = "",
    output: OutputForm = Output.TABLE,
) -> None:
    """Follow a job to its end: its tokens as they come, states on standard error.

    With `--output json` each event is one line. A broken connection is taken up where it was. Exit
    code 5 where the job ends in an error.
    """
    problem = ""
    with _told(), JobsApi(url, api_key) as api:
        for event in follow(api, job, after):
            if output is Output.JSON:
                typer.echo(msgspec.json.encode(event).decode())
            elif event.name == "state":
                typer.echo(event.data, err=True)
            elif not problem_of(event):
                typer.echo(text_of(event), nl=False)
            problem = problem_of(event)
    if problem:
        typer.echo(problem, err=True)
        raise typer.Exit(FAILED)


def _print(content: bytes, output: Output) -> None:
    if output is Output.JSON:
        typer.echo(content.decode())
    else:
        Console().print(as_table(msgspec.json.decode(content, type=Job)))


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except JobsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from None
