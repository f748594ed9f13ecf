"""The JSON Schema of the configuration, for editors (`# yaml-language-server: $schema=...`)."""

from typing import Any

from headrace.schemas.config.model import Config

JsonSchema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
REFERENCE = r"\$\{(env|file):[^{}]+\}|^os\.environ/."
_LIMITED = frozenset({"enum", "const", "pattern", "maximum", "minimum", "exclusiveMinimum"})
_SCALARS = frozenset({"boolean", "integer", "number", "string"})


def config_schema() -> JsonSchema:
    """The schema, draft 2020-12. Where a value is narrowed, a reference may stand instead of it."""
    whole = Config.model_json_schema()
    whole["$defs"] = {name: _section(section) for name, section in whole["$defs"].items()}
    whole["$defs"]["Reference"] = {
        "type": "string",
        "pattern": REFERENCE,
        "description": "A value from the environment or from a file.",
    }
    return {"$schema": DIALECT, **_section(whole), "title": "Headrace configuration"}


def _section(section: JsonSchema) -> JsonSchema:
    fields = {name: _field(field) for name, field in section.get("properties", {}).items()}
    without_titles = {key: value for key, value in section.items() if key != "title"}
    return {**without_titles, "properties": fields}


def _field(field: JsonSchema) -> JsonSchema:
    about: JsonSchema = {key: field[key] for key in ("description", "default") if key in field}
    value = {key: part for key, part in field.items() if key not in {*about, "title"}}
    return {**about, **_or_reference(value)}


def _or_reference(value: JsonSchema) -> JsonSchema:
    if "anyOf" in value:
        return {"anyOf": [*map(_or_reference, value["anyOf"])]}
    if value.get("type") == "array":
        return {**value, "items": _or_reference(value["items"])}
    if value.get("type") in _SCALARS and (value["type"] != "string" or _LIMITED & value.keys()):
        return {"anyOf": [value, {"$ref": "#/$defs/Reference"}]}
    return value
