"""The configuration of the mock upstream: a small YAML file, or nothing at all."""

from pathlib import Path
from typing import Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from headrace.cli.mock.layers import Layers
from headrace.cli.mock.script import canonical, parse_words


class MockConfig(BaseModel):
    """`script` is the default for every call, `models` what a model name adds to it.

    Scripts are written as a mapping of words or as one string (`latency_ms=100;status=503`).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = 1
    script: dict[str, str] = Field(default_factory=dict)
    models: dict[str, dict[str, str]] = Field(default_factory=dict)
    api_key: SecretStr | None = None
    log: Path | None = None
    log_entries: int = Field(default=50_000, ge=1, le=10_000_000)
    requests_remembered: int = Field(default=200_000, ge=1, le=10_000_000)
    max_body_bytes: int = Field(default=67_108_864, ge=1)
    max_connections: int = Field(default=10_000, ge=1)

    @field_validator("script", mode="before")
    @classmethod
    def _read_script(cls, given: object) -> object:
        return _words(given)

    @field_validator("models", mode="before")
    @classmethod
    def _read_models(cls, given: object) -> object:
        if not isinstance(given, dict):
            return given
        return {name: _words(script) for name, script in given.items()}

    @model_validator(mode="after")
    def _check_scripts(self) -> Self:
        Layers(self.script, self.models)
        return self


def _words(given: object) -> object:
    """Words with their values as text, aliases resolved; what is no script is left to pydantic."""
    if isinstance(given, str):
        return parse_words(given)
    if not isinstance(given, dict):
        return given
    return {canonical(str(word)): _text(value) for word, value in given.items()}


def _text(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def load_config(path: Path) -> MockConfig:
    """Read a YAML file. Raises OSError, yaml.YAMLError, pydantic.ValidationError."""
    return MockConfig.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
