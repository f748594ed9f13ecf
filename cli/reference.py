"""Writes the pages made from the roles' metrics and the command line: `python -m headrace.cli.reference`.

A test compares what is committed under docs/reference/ with what this makes.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector

from headrace.cli.main import ENTRIES, load
from headrace.dispatcher.governing.metrics import Metrics as GovernorMetrics
from headrace.dispatcher.metrics import Metrics as DispatcherMetrics
from headrace.ingress.board import BoardPolicy, ReplyBoard
from headrace.ingress.metrics import Metrics as IngressMetrics
from headrace.schemas.topics import Topics

FOLDER = Path("docs/reference")
_NOT_OURS = {"help", "install_completion", "show_completion"}
_MADE = "<!-- Made by `python -m headrace.cli.reference`; do not edit. -->\n\n"


def documents() -> dict[str, str]:
    """Every page by its name in docs/reference/."""
    return {"metrics.md": metrics_page(), "commands.md": commands_page()}


def metrics_page() -> str:
    """All metrics of all roles."""
    dispatcher = CollectorRegistry()
    DispatcherMetrics(dispatcher)
    governor = CollectorRegistry()
    GovernorMetrics(governor, Topics("").limit_reports)
    ingress = IngressMetrics(ReplyBoard(BoardPolicy(1, 1, 1, 1.0)), "0").registry
    return (
        f"{_MADE}# Metrics\n\nEach role serves its own under `/metrics` on its metrics port.\n"
        f"\n## Ingress\n\n{_metrics_table(ingress)}\n## Dispatcher\n\n{_metrics_table(dispatcher)}"
        f"\n## Governor\n\n{_metrics_table(governor)}"
    )


def _metrics_table(registry: CollectorRegistry) -> str:
    rows = ["| metric | kind | labels | what |", "|---|---|---|---|"]
    families = sorted(registry.collect(), key=lambda family: family.name)
    for family in families:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = ", ".join(f"`{label}`" for label in _labels(registry, family))
        rows.append(f"| `{name}` | {family.type} | {labels} | {family.documentation} |")
    return "\n".join(rows) + "\n"


def _labels(registry: CollectorRegistry, family: Metric) -> Iterable[str]:
    """Known to the family where a collector of ours makes it, or else to the metric that it is of."""
    collector: Collector | None = registry._names_to_collectors.get(family.name)  # noqa: SLF001
    source = family if hasattr(family, "_labelnames") else collector
    return getattr(source, "_labelnames", ())


def commands_page() -> str:
    """All commands with their options."""
    parts = [f"{_MADE}# Commands\n"]
    for entry in sorted(ENTRIES, key=lambda each: each.name):
        loaded = load(entry.target)
        if isinstance(loaded, typer.Typer):
            app = loaded
        else:
            app = typer.Typer(add_completion=False)
            app.command(entry.name)(loaded)
        parts.append(_command(typer.main.get_command(app), f"headrace {entry.name}", entry.help))
    return "\n".join(parts)


def _command(command: Any, path: str, help_: str) -> str:  # noqa: ANN401 - typer keeps its own click
    text = f"## `{path}`\n\n{(command.help or help_).strip()}\n"
    rows = [_option(each) for each in command.params if each.name not in _NOT_OURS]
    if rows:
        text += "\n| argument or option | default | what |\n|---|---|---|\n" + "".join(rows)
    children = getattr(command, "commands", {})
    for name, child in children.items():
        text += "\n" + _command(child, f"{path} {name}", child.help or "")
    return text


def _option(parameter: Any) -> str:  # noqa: ANN401
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    default = "" if parameter.default in (None, False, (), "") else f"`{parameter.default}`"
    text = " ".join((getattr(parameter, "help", None) or "").split())
    return f"| {names} | {default} | {text} |\n"


def main() -> None:
    """Write all pages below the current folder, the repository's root."""
    for name, text in documents().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
