"""Reading a configuration: `parse` is pure, `load` reads the file."""

from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import ValidationError

from headrace.schemas.config.errors import (
    ConfigInvalid,
    ConfigMalformed,
    ConfigUnreadable,
    Problem,
    ProblemCode,
)
from headrace.schemas.config.model import Config


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """The configuration in the file at `path`. Raises `ConfigError` with every problem found."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigUnreadable(
            [Problem(ProblemCode.UNREADABLE, str(path), "", str(error))]
        ) from error
    return parse(text, str(path), environ)


def parse(text: str, file_name: str, environ: Mapping[str, str]) -> Config:
    """The configuration that `text` says."""
    try:
        return Config.model_validate(yaml.safe_load(text) or {})
    except yaml.YAMLError as error:
        raise ConfigMalformed(
            [Problem(ProblemCode.MALFORMED, file_name, "", str(error))]
        ) from error
    except ValidationError as error:
        raise ConfigInvalid(
            [
                Problem(
                    ProblemCode.INVALID_VALUE,
                    file_name,
                    ".".join(map(str, found["loc"])),
                    found["msg"],
                )
                for found in error.errors()
            ]
        ) from None
