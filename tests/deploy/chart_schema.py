"""The `config` part of the chart's values.schema.json, made from the configuration model.

So a misspelt key is refused by `helm install`, before any pod starts. What the chart itself
decides (listen addresses, where credentials come from) is left out, and so refused.
After a change of the model: `python tests/deploy/chart_schema.py` rewrites the schema.
"""

import json
from pathlib import Path
from typing import Any

from headrace.schemas.config.model import Config

SCHEMA = Path(__file__).parents[2] / "helm/headrace/values.schema.json"
REFERENCE = r"^(\$\{(env|file):[^}]+\}|os\.environ/.+)$"
"""A secret in values.yaml must be a reference to one."""
LEFT_OUT = {
    "Config": ("development",),
    "IngressConfig": ("listen", "metrics_listen", "index_dir"),
    "DispatcherConfig": ("metrics_listen",),
    "GovernorConfig": ("metrics_listen",),
    "KafkaSecurity": ("username", "password", "ca_file"),
}
SILENT = ("title", "default", "format", "writeOnly")


def config_definitions() -> dict[str, Any]:
    """JSON Schema definitions of all sections; the whole one is called `Config`."""
    whole = Config.model_json_schema(by_alias=True)
    sections: dict[str, Any] = whole.pop("$defs") | {"Config": whole}
    definitions: dict[str, Any] = {name: _bare(section) for name, section in sections.items()}
    for name, keys in LEFT_OUT.items():
        for key in keys:
            del definitions[name]["properties"][key]
    for name, key in (("UpstreamConfig", "api_key"), ("AuthConfig", "pepper")):
        definitions[name]["properties"][key] = {"type": "string", "pattern": REFERENCE}
    # A password without TLS is not for a cluster.
    definitions["KafkaSecurity"]["properties"]["protocol"]["enum"].remove("SASL_PLAINTEXT")
    kafka = definitions["KafkaConfig"]
    kafka["required"] = ["bootstrap_servers"]
    kafka["properties"]["bootstrap_servers"] |= {
        "minItems": 1,
        "items": {"type": "string", "pattern": "^[^\\s:/]+:[0-9]{1,5}$"},
    }
    definitions["Config"]["required"] = ["kafka", "auth", "deployments"]
    return dict(sorted(definitions.items()))


def _bare(schema: Any) -> Any:
    """Without what only readers of the model need; names under `properties` all stay."""
    if isinstance(schema, list):
        return [_bare(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: _bare(row) for name, row in value.items()}
        if key == "properties"
        else _bare(value)
        for key, value in schema.items()
        if key not in SILENT
    }


def main() -> None:
    """Rewrite the definitions in the schema file."""
    schema = json.loads(SCHEMA.read_text())
    schema["$defs"] = schema["$defs"] | config_definitions()
    SCHEMA.write_text(json.dumps(schema, indent=2) + "\n")


if __name__ == "__main__":
    main()
