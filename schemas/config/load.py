"""Reading a configuration: text, overrides, references, model, agreement; in this order.

    read_file -> read_document -> override -> resolve -> Config.model_validate + findings
     bytes          tree + lines    HEADRACE__  ${env:X}     all problems together

`parse` is pure: files that references name are read by `read_secret`. `load` is its thin shell.
"""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from headrace.schemas.config.agreement import findings
from headrace.schemas.config.clients import trusting
from headrace.schemas.config.document import Document, read_document
from headrace.schemas.config.environment import override
from headrace.schemas.config.errors import ConfigInvalid, ConfigUnreadable, Problem, ProblemCode
from headrace.schemas.config.explain import explain
from headrace.schemas.config.finding import Finding
from headrace.schemas.config.model import Config, KafkaSecurity, default_lanes
from headrace.schemas.config.references import Sources, resolve

MAX_PROBLEMS = 100


@dataclass(frozen=True)
class Reading:
    """A configuration that holds, and what is allowed in it but looks like a mistake."""

    config: Config
    warnings: tuple[Problem, ...]


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """The configuration in the file at `path`. Raises `ConfigError` with every problem found."""
    return examine(path, environ).config


def examine(path: Path, environ: Mapping[str, str]) -> Reading:
    """As `load`, with the warnings. Files that references name count from the folder of `path`."""

    def read_secret(name: str) -> str:
        return (path.parent / name).read_text(encoding="utf-8")

    return read(read_file(path), str(path), environ, read_secret, trusting)


def parse(
    text: str, file_name: str, environ: Mapping[str, str], read_secret: Callable[[str], str]
) -> Config:
    """The configuration that `text` says. Raises `ConfigError` with every problem found."""
    return read(text, file_name, environ, read_secret).config


def read(
    text: str,
    file_name: str,
    environ: Mapping[str, str],
    read_secret: Callable[[str], str],
    try_authorities: Callable[[str], object] = lambda _: None,
) -> Reading:
    """As `parse`, with the warnings. `try_authorities` raises `OSError` for a file that is not of use."""
    document = read_document(text, file_name)
    given = override(document, environ)
    problems = document.problems
    problems += resolve(document, Sources(environ, read_secret), given)
    _drop_empty_sections(document)
    found = list(findings(document.tree, default_lanes()))
    problems += [_located(finding, document) for finding in found if finding.fatal]
    config: Config | None = None
    try:
        config = Config.model_validate(document.tree)
    except ValidationError as error:
        problems += explain(error, document)
    problems += _authorities(document, config, try_authorities)
    if problems or config is None:
        raise ConfigInvalid(_ordered(problems))
    return Reading(config, tuple(_located(finding, document) for finding in found))


def read_file(path: Path) -> str:
    """The text of the file at `path`. Raises `ConfigUnreadable`."""
    try:
        raw = path.read_bytes()
        return raw.decode("utf-8-sig")
    except OSError as error:
        message = f"cannot be read: {error.strerror or type(error).__name__}"
        problem = Problem(ProblemCode.UNREADABLE, str(path), "", message)
        raise ConfigUnreadable([problem]) from None
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        problem = Problem(ProblemCode.UNREADABLE, f"{path}:{line}", "", "not UTF-8")
        raise ConfigUnreadable([problem]) from None


def _drop_empty_sections(document: Document) -> None:
    """`tenants:` with nothing below it says as much as no `tenants` at all."""
    for key in [key for key, value in document.tree.items() if value is None]:
        if key in Config.model_fields:
            del document.tree[key]


def _authorities(
    document: Document, config: Config | None, attempt: Callable[[str], object]
) -> list[Problem]:
    """Found out here, and not by each client on its own."""
    security = config.kafka.security if config is not None else KafkaSecurity()
    if security.ca_file is None or not security.protocol.endswith("SSL"):
        return []
    try:
        attempt(security.ca_file)
    except ssl.SSLError:
        message = f"{security.ca_file} holds no certificates in PEM"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        message = f"cannot read {security.ca_file}: {reason}"
    else:
        return []
    path = ("kafka", "security", "ca_file")
    return [document.problem(ProblemCode.INVALID_VALUE, path, message)]


def _located(finding: Finding, document: Document) -> Problem:
    return document.problem(finding.code, finding.path, finding.message)


def _ordered(problems: list[Problem]) -> list[Problem]:
    """Without repeats, in the order of the file, at most `MAX_PROBLEMS` of them."""
    unique = sorted(dict.fromkeys(problems), key=_place)
    if len(unique) <= MAX_PROBLEMS:
        return unique
    rest = Problem(ProblemCode.MALFORMED, "", "", f"and {len(unique) - MAX_PROBLEMS} more")
    return [*unique[:MAX_PROBLEMS], rest]


def _place(problem: Problem) -> tuple[str, int]:
    source, _, line = problem.where.rpartition(":")
    return (source, int(line)) if line.isdecimal() else (problem.where, 0)
