"""Overrides from the environment: `HEADRACE__SECTION__KEY=value`.

Steps are separated by two underscores and compared without case, any other sign as an underscore:
`HEADRACE__MODELS__GPT_4_1__RETRY__ATTEMPTS` reaches `models["gpt-4.1"].retry.attempts`. An entry of
a list is reached by its index or by its `name`: `HEADRACE__DEPLOYMENTS__OPENAI_EAST__WEIGHT`; the
next free index appends. A whole list or mapping is written as YAML in one line
(`["a:9092", "b:9092"]`); a list of texts also with commas.

An override may stand in place of a secret: it is not in the file.
"""

import re
from collections.abc import Mapping
from copy import deepcopy
from typing import get_args, get_origin

from headrace.schemas.config.document import Document, read_document
from headrace.schemas.config.errors import ConfigMalformed, ProblemCode, did_you_mean
from headrace.schemas.config.keypath import KeyPath, Tree, at, leaves, put
from headrace.schemas.config.model import Config
from headrace.schemas.config.section import Section
from headrace.schemas.config.shape import as_section, bare, member_shape, shape_at

PREFIX = "HEADRACE__"


class _Astray(Exception):
    """A step that leads nowhere; the message says why."""


def override(document: Document, environ: Mapping[str, str]) -> frozenset[KeyPath]:
    """Lay the overrides in `environ` over `document`; the paths of the texts that they gave."""
    given: set[KeyPath] = set()
    names = (name for name in environ if name.upper().startswith(PREFIX))
    for name in sorted(names, key=lambda name: (name.count("__"), len(name), name)):
        source = f"environment variable {name}"
        before = deepcopy(document.tree)
        try:
            path = _lay(document, name[len(PREFIX) :].split("__"), environ[name], source)
        except ConfigMalformed as error:
            document.problems += error.problems
        except _Astray as error:
            problem = Document(source).problem(ProblemCode.UNKNOWN_KEY, (), str(error))
            document.problems.append(problem)
            document.tree = before
        else:
            document.marks = {
                known: mark for known, mark in document.marks.items() if known[: len(path)] != path
            } | {path: source}
            given |= {leaf for leaf, _ in leaves(at(document.tree, path), path)}
    return frozenset(given)


def _lay(document: Document, steps: list[str], text: str, source: str) -> KeyPath:
    """Set one value; the path it was set at."""
    shape: object = Config
    path: KeyPath = ()
    for step in steps:
        if path and at(document.tree, path) is None:
            put(document.tree, path, _start(path))
        key = _key(at(document.tree, path), shape, step)
        path, shape = (*path, key), member_shape(shape, key)
        try:
            at(document.tree, path)
        except LookupError:
            put(document.tree, path, None)
    put(document.tree, path, _written(text, shape, source))
    return path


def _key(here: Tree, shape: object, step: str) -> str | int:
    """The key or index that `step` names in `here`."""
    if isinstance(here, list) and get_origin(shape) is list:
        return _index(here, step)
    if isinstance(here, dict) and (section := as_section(shape)):
        if step.lower() not in section.model_fields:
            hint = did_you_mean(step, section.model_fields)
            raise _Astray(f"no key is called {step.lower()}{hint}")
        return step.lower()
    if isinstance(here, dict) and get_origin(shape) is dict:
        return next((key for key in here if _fold(key) == _fold(step)), step.lower())
    raise _Astray(f"nothing can be called {step.lower()} inside a single value")


def _index(here: list[Tree], step: str) -> int:
    if step.isdecimal() and int(step) <= len(here):
        return int(step)
    names = [str(entry.get("name", "")) if isinstance(entry, dict) else "" for entry in here]
    folded = [_fold(name) for name in names]
    if _fold(step) in folded:
        return folded.index(_fold(step))
    raise _Astray(f"no entry is called {step.lower()}{did_you_mean(step, filter(None, names))}")


def _fold(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "_", word.lower())


def _start(path: KeyPath) -> Tree:
    """What an override goes into where the file says nothing: the default's names, or none."""
    if get_origin(shape_at(path)) is list:
        return []
    section = as_section(shape_at(path[:-1]))
    if section is None:
        return {}
    default = section.model_fields[str(path[-1])].get_default(call_default_factory=True)
    if not isinstance(default, dict):
        return {}
    return {name: _texts(member) for name, member in default.items()}


def _texts(section: Section) -> Tree:
    return {key: str(value) for key, value in section.model_dump(exclude_unset=True).items()}


def _written(text: str, shape: object, source: str) -> Tree:
    kind = get_origin(shape)
    section = as_section(shape)
    if kind is not list and kind is not dict and section is None:
        return text
    if text.lstrip().startswith(("[", "{")):
        return read_document(f"value: {text}", source).tree["value"]
    if section is not None and section.brief:
        return text
    member = as_section(bare(get_args(shape)[0])) if kind is list else None
    if kind is list and (member is None or member.brief):
        return [part.strip() for part in text.split(",") if part.strip()]
    raise _Astray("write the whole value as YAML in one line, as in [a, b] or {key: value}")
