"""The examples: configurations that load, and the requests of the demo."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from headrace.schemas.config.load import load
from headrace.schemas.config.model import Config
from headrace.schemas.names import Endpoint
from support.chart import render

EXAMPLES = Path(__file__).parents[2] / "examples"
SECRETS = {"OPENAI_API_KEY": "made-up", "HEADRACE_PEPPER": "made-up"}


@cache
def prompts() -> tuple[dict[str, Any], ...]:
    lines = (EXAMPLES / "prompts.jsonl").read_text().splitlines()
    return tuple(json.loads(line) for line in lines)


@pytest.mark.parametrize("name", ["headrace.yaml", "compose.yaml"])
def test_a_configuration_loads_and_names_its_schema_for_editors(name: str) -> None:
    first = (EXAMPLES / name).read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=../docs/reference/config.schema.json"
    assert load(EXAMPLES / name, SECRETS).deployments


def test_the_example_says_nothing_but_defaults_about_the_services() -> None:
    config = load(EXAMPLES / "headrace.yaml", SECRETS)
    assert config.lanes == Config.model_fields["lanes"].get_default(call_default_factory=True)
    assert config.ingress == Config.model_fields["ingress"].default
    assert config.dispatcher == Config.model_fields["dispatcher"].default


def test_the_values_for_helm_are_accepted_and_load(tmp_path: Path) -> None:
    values = yaml.safe_load((EXAMPLES / "helm-values.yaml").read_text())
    release = render(values)
    for role in ("ingress", "dispatcher", "topics"):
        file = tmp_path / role
        file.write_text(release.config_of(release.pod(role)))
        assert load(file, SECRETS | release.pod(role).environ).deployments


def test_there_are_six_hundred_requests_and_no_two_bodies_are_alike() -> None:
    bodies = {json.dumps(row["body"], sort_keys=True) for row in prompts()}
    assert len(prompts()) == len(bodies) == 600


def test_exactly_one_request_can_never_succeed() -> None:
    assert [row["body"]["model"] for row in prompts()].count("demo-impossible") == 1


def test_requests_are_of_every_kind() -> None:
    assert {row["endpoint"] for row in prompts()} == set(Endpoint)
    lanes = Config.model_fields["lanes"].get_default(call_default_factory=True)
    assert {row["lane"] for row in prompts()} == set(lanes)
    assert {row["client"] for row in prompts()} == {"sync", "async"}
    streamed = {row["endpoint"] for row in prompts() if row["stream"]}
    assert streamed == {Endpoint.CHAT, Endpoint.COMPLETIONS}


@pytest.mark.parametrize(
    ("endpoint", "field"),
    [(Endpoint.CHAT, "messages"), (Endpoint.COMPLETIONS, "prompt"), (Endpoint.EMBEDDINGS, "input")],
)
def test_each_body_carries_what_its_endpoint_asks_for(endpoint: Endpoint, field: str) -> None:
    bodies = [row["body"] for row in prompts() if row["endpoint"] == endpoint]
    assert all(body[field] and "stream" not in body for body in bodies)
