"""Writes the documents that are made from the contract: `python -m headrace.schemas.generate`.

A test compares what is committed under docs/reference/ with what this makes.
"""

import json
from pathlib import Path

import yaml

from headrace.schemas.reference.asyncapi import asyncapi_document
from headrace.schemas.reference.config_schema import JsonSchema, config_schema
from headrace.schemas.reference.configuration import configuration_page
from headrace.schemas.reference.messages import MESSAGES, header_schema
from headrace.schemas.reference.tables import errors_page, headers_page, topics_page

FOLDER = Path("docs/reference")


def documents() -> dict[str, str]:
    """Every document by its name in docs/reference/."""
    return {
        "asyncapi.yaml": _yaml_text(),
        "config.schema.json": _json_text(config_schema()),
        "configuration.md": configuration_page(),
        "errors.md": errors_page(),
        "headers.md": headers_page(),
        "topics.md": topics_page(),
        **{
            f"{message.name}-headers.schema.json": _json_text(header_schema(message))
            for message in MESSAGES
            if message.headers
        },
    }


def _yaml_text() -> str:
    head = "# Made by `python -m headrace.schemas.generate`; do not edit.\n"
    body = yaml.safe_dump(asyncapi_document(), sort_keys=False, width=100, allow_unicode=True)
    return head + body


def _json_text(schema: JsonSchema) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write all documents below the current folder, the repository's root."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in documents().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
