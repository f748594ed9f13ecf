"""Where a call's script comes from: configuration < model name < body < header; the later wins."""

from collections.abc import Mapping
from functools import lru_cache

from headrace.cli.mock.calls import ModelCall
from headrace.cli.mock.errors import STATUSES
from headrace.cli.mock.script import (
    Fault,
    Script,
    ScriptError,
    build_script,
    is_word,
    parse_words,
)

MARK = "mock:"

NAMED: dict[str, str] = {
    "mock": "",
    "mock-slow": "latency_ms=2000",
    "mock-stream": "first_token_ms=50;tokens=100;tokens_per_s=50",
    "mock-drip": "bytes_per_s=1",
    "mock-flaky": "fail=2x500",
    "mock-poison": "status=500",
    "mock-quota": "status=429;code=insufficient_quota",
    "mock-context": "status=400;code=context_length_exceeded",
    **{f"mock-{status}": f"status={status}" for status in sorted(STATUSES)},
    **{
        f"mock-{fault.replace('_', '-')}": f"fault={fault}"
        for fault in Fault
        if fault is not Fault.NONE
    },
}


class Layers:
    """Builds the script of a call and remembers recent ones, since most calls share theirs."""

    def __init__(self, base: Mapping[str, str], models: Mapping[str, Mapping[str, str]]) -> None:
        """Check every script of the configuration at once. Raises ScriptError."""
        self._base = dict(base)
        self._models = {name: dict(words) for name, words in models.items()}
        self._build = lru_cache(maxsize=4096)(self._merge)
        for name in ("", *self._models):
            self._merge(name, "", "")

    @property
    def names(self) -> list[str]:
        """The model names that mean something here, for `GET /v1/models`."""
        return [*NAMED, *(name for name in self._models if name not in NAMED)]

    def script_of(self, call: ModelCall, header: str) -> Script:
        """The script of `call`; `header` is the value of x-mock-script. Raises ScriptError."""
        if len(call.model) + len(header) > 4096:
            raise ScriptError("model name and script are longer than 4096 characters")
        return self._build(call.model, body_script(call.user, call.mock), header)

    def _merge(self, model: str, body: str, header: str) -> Script:
        named = NAMED.get(model, model[len(MARK) :] if model.startswith(MARK) else "")
        words = {**self._base, **parse_words(named), **self._models.get(model, {})}
        return build_script({**words, **parse_words(body), **parse_words(header)})


def body_script(user: str, metadata_mock: str) -> str:
    """The script inside a body: `metadata.mock`, else `user` if it is meant as one.

    `user` is often a real user's id: it counts only with the mark `mock:` or a known first word.
    """
    if metadata_mock:
        return metadata_mock.removeprefix(MARK)
    if user.startswith(MARK):
        return user[len(MARK) :]
    first, separator, _ = user.partition("=")
    return user if separator and is_word(first) else ""
