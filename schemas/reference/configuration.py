"""The reference of the configuration: every key with its type, default and meaning."""

import inspect
import json
from collections.abc import Iterator
from typing import get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from headrace.schemas.config.model import Config
from headrace.schemas.config.section import Section
from headrace.schemas.config.shape import as_section, bare
from headrace.schemas.reference.config_schema import JsonSchema
from headrace.schemas.reference.tables import page, table

_HOW = """\
One YAML file; everything has a default but `deployments`. `headrace config check` reports every
problem with its line, `headrace config show` prints what is in force, without secrets. For
completion in an editor, put the schema's place in the first line:

```yaml
# yaml-language-server: $schema=docs/reference/config.schema.json
deployments:
  - name: openai-east
    model: gpt-4o-mini
    upstream: {base_url: "https://api.openai.com/v1", api_key: "${env:OPENAI_API_KEY}"}
```

**References.** `${env:NAME}` is replaced by an environment variable, `${file:/run/secrets/name}` by
the text of a file (a relative path counts from the configuration's folder); `os.environ/NAME` is
read too. `$${` stands for a plain `${`. A secret must be a reference or come from an override; in
plain text it is refused, unless `development: true`.

**Overrides.** An environment variable `HEADRACE__SECTION__KEY` stands above the file:
`HEADRACE__KAFKA__BOOTSTRAP_SERVERS=a:9092,b:9092`, `HEADRACE__LANES__BATCH__DEADLINE_S=3600`.
An entry of a list is reached by its name or its index (`HEADRACE__DEPLOYMENTS__OPENAI_EAST__WEIGHT`,
`HEADRACE__DEPLOYMENTS__0__WEIGHT`), where any sign but letters and digits is an underscore. A whole
list or mapping is written as YAML in one line.

Durations end in `_s` (seconds) or `_ms`, sizes in `_bytes`."""


def configuration_page() -> str:
    """All sections, outermost first."""
    schema = Config.model_json_schema()
    lines: list[str] = [_HOW]
    for path, section in _sections("", Config):
        fields = (schema if section is Config else schema["$defs"][section.__name__])["properties"]
        rows = [
            (f"`{name}`", _kind(field, fields[name]), _default(field), field.description or "")
            for name, field in section.model_fields.items()
            if _inner(field)[1] is None
        ]
        lines += ["", f"## `{path}`" if path else "## Top level", "", inspect.getdoc(section) or ""]
        lines += ["", *table(("key", "value", "default", "meaning"), rows)] if rows else []
    return page("Configuration", *lines)


def _sections(path: str, section: type[Section]) -> Iterator[tuple[str, type[Section]]]:
    yield path, section
    for name, field in section.model_fields.items():
        suffix, inner = _inner(field)
        if inner is not None:
            yield from _sections(f"{path}.{name}{suffix}".lstrip("."), inner)


def _inner(field: FieldInfo) -> tuple[str, type[Section] | None]:
    """The section in a field, itself or in a list or mapping, and how its path goes on."""
    shape = bare(field.annotation)
    if get_origin(shape) is list:
        return "[]", as_section(bare(get_args(shape)[0]))
    if get_origin(shape) is dict:
        return ".<name>", as_section(bare(get_args(shape)[1]))
    return "", as_section(shape)


_TYPES = {"integer": "whole number", "number": "number", "boolean": "true or false"}


def _kind(field: FieldInfo, schema: JsonSchema) -> str:
    if bare(field.annotation) is SecretStr:
        return "secret"
    schema = next((part for part in schema.get("anyOf", ()) if part != {"type": "null"}), schema)
    if "enum" in schema:
        return ", ".join(f"`{word}`" for word in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return "list of texts"
    word = _TYPES.get(schema["type"], "text")
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    if low is None:
        return word
    above = "above " if "exclusiveMinimum" in schema else ""
    return f"{word}, {above}{low} to {schema['maximum']}"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    default = field.get_default(call_default_factory=True, validated_data={})
    if default is None or default is PydanticUndefined:
        return ""
    return f"`{json.dumps(default)}`"
