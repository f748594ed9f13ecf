"""References in values: `${env:NAME}`, `${file:/path}`, and LiteLLM's `os.environ/NAME`.

A reference may be a part of a value, but for LiteLLM's form. `$${` stands for a plain `${`.
Nothing here ever puts a resolved value into a message.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from headrace.schemas.config.document import Document
from headrace.schemas.config.errors import Problem, ProblemCode
from headrace.schemas.config.keypath import KeyPath, leaves, put
from headrace.schemas.config.shape import is_secret

MAX_SECRET_BYTES = 65_536
_REFERENCE = re.compile(
    r"\$(?P<escaped>\$\{)|\$\{(?:(?P<kind>env|file):)?(?P<name>[^{}]*)\}|(?P<stray>\$\{)"
)
_LITELLM = "os.environ/"


class _Unresolved(Exception):
    """A reference that leads nowhere; the message says why."""


@dataclass(frozen=True)
class Sources:
    """Where references lead."""

    environ: Mapping[str, str]
    read_secret: Callable[[str], str]
    """Text of the file at a path. Raises `OSError` or `UnicodeDecodeError`."""

    def env(self, name: str) -> str:
        if name not in self.environ:
            raise _Unresolved(f"the environment variable {name} is not set")
        return self.environ[name]

    def file(self, name: str) -> str:
        try:
            text = self.read_secret(name)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise _Unresolved(f"cannot read {name}: {reason}") from None
        except UnicodeDecodeError:
            raise _Unresolved(f"cannot read {name}: not UTF-8") from None
        if len(text) > MAX_SECRET_BYTES:
            raise _Unresolved(f"{name} is longer than {MAX_SECRET_BYTES} characters")
        return text.rstrip("\r\n")


def resolve(document: Document, sources: Sources, given: frozenset[KeyPath]) -> list[Problem]:
    """Put values in the place of references; `given` came from the environment itself.

    Also refuses secrets that are empty, and, unless `development: true`, those written in the file.
    """
    problems: list[Problem] = []
    plain_allowed = str(document.tree.get("development")).lower() == "true"
    for path, text in list(leaves(document.tree)):
        secret = is_secret(path)
        try:
            value = _resolved(text, sources)
        except _Unresolved as error:
            problems.append(document.problem(ProblemCode.SECRET_MISSING, path, str(error)))
            continue
        put(document.tree, path, value)
        if secret and not value:
            problems.append(document.problem(ProblemCode.SECRET_MISSING, path, "is empty"))
        elif secret and not (plain_allowed or path in given or _refers(text)):
            problems.append(document.problem(ProblemCode.SECRET_PLAIN, path, _PLAIN_REFUSED))
    return problems


_PLAIN_REFUSED = (
    "a secret in plain text; write ${env:NAME} or ${file:/path}"
    " (allowed only with `development: true`)"
)


def _refers(text: str) -> bool:
    return text.startswith(_LITELLM) or any(match["kind"] for match in _REFERENCE.finditer(text))


def _resolved(text: str, sources: Sources) -> str:
    if text.startswith(_LITELLM):
        return sources.env(text.removeprefix(_LITELLM))
    return _REFERENCE.sub(lambda match: _one(match, sources), text) if "${" in text else text


def _one(match: re.Match[str], sources: Sources) -> str:
    if match["escaped"]:
        return "${"
    if match["kind"] == "env":
        return sources.env(match["name"])
    if match["kind"] == "file":
        return sources.file(match["name"])
    hint = f"${{env:{match['name']}}}" if match["name"] else "${env:NAME}"
    raise _Unresolved(f"a reference is {hint} or ${{file:/path}}; a plain ${{ is written $${{")
