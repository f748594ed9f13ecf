"""What the model refuses, in words for the person who wrote the file; no value is in them."""

from collections.abc import Iterator

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from headrace.schemas.config.document import Document
from headrace.schemas.config.errors import Problem, ProblemCode, did_you_mean
from headrace.schemas.config.keypath import KeyPath
from headrace.schemas.config.section import (
    ADDRESS,
    BASE_URL,
    DIGEST,
    LANE_KEY,
    PREFIX,
    TENANT_KEY,
)
from headrace.schemas.config.shape import known_keys

_PATTERN_WORDS = {
    ADDRESS: "should be host:port, an IPv6 host in brackets",
    BASE_URL: "should be an http or https URL",
    DIGEST: "should be a key's digest, as `headrace keys create` prints it",
    LANE_KEY: "should be a name of small letters, digits, - and _, at most 40",
    TENANT_KEY: "should be a name of letters, digits, dots, - and _, at most 63",
    PREFIX: "should be letters, digits, dots, - and _, at most 100",
}
_WORDS = {
    "missing": "is required",
    "model_type": "should be a mapping of keys to values",
    "dict_type": "should be a mapping of names to values",
    "list_type": "should be a list",
    "string_type": "should be one text",
    "int_type": "should be a whole number",
    "int_parsing": "should be a whole number",
    "float_type": "should be a number",
    "float_parsing": "should be a number",
    "bool_type": "should be true or false",
    "bool_parsing": "should be true or false",
}


def explain(error: ValidationError, document: Document) -> Iterator[Problem]:
    """Each refusal of the model as a problem at its place in `document`."""
    for detail in error.errors(include_url=False, include_input=False):
        if detail["type"] == "disagreement":
            continue  # found in the tree as well, there with its place
        path = tuple(step for step in detail["loc"] if step != "[key]")
        at = detail.get("ctx", {}).get("at")
        code, message = _words(detail, path)
        yield document.problem(code, (*path, str(at)) if at else path, message)


def _words(detail: ErrorDetails, path: KeyPath) -> tuple[ProblemCode, str]:
    kind = detail["type"]
    if kind == "extra_forbidden":
        hint = did_you_mean(str(path[-1]), known_keys(path[:-1]))
        return ProblemCode.UNKNOWN_KEY, f"unknown key{hint}"
    if kind == "missing":
        return ProblemCode.MISSING_KEY, _WORDS[kind]
    if kind == "string_pattern_mismatch":
        pattern = str(detail.get("ctx", {}).get("pattern"))
        words = _PATTERN_WORDS.get(pattern, "has a sign that is not allowed")
        return ProblemCode.INVALID_VALUE, words
    code = ProblemCode.CONFLICT if kind == "conflict" else ProblemCode.INVALID_VALUE
    said = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return code, _WORDS.get(kind, said.replace("String should", "should"))
