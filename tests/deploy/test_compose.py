"""docker-compose.yml: valid by the Compose specification, and true to the code."""

import importlib.resources
import json
import re
import tomllib
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from headrace.cli.localkafka.jars import KAFKA_VERSION
from headrace.cli.mock.config import MockConfig
from headrace.cli.mock.layers import NAMED
from headrace.schemas.config.load import load
from headrace.schemas.config.model import Config
from support.commands import parse_command

ROOT = Path(__file__).parents[2]
CONFIG_PATH = "/etc/headrace/headrace.yaml"
OURS = ("topics", "mock", "ingress", "dispatcher", "governor")

Service = dict[str, Any]


@cache
def project() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


def services() -> dict[str, Service]:
    found: dict[str, Service] = project()["services"]
    return found


@cache
def config() -> Config:
    """The configuration that the containers read, with nothing in their environment."""
    return load(ROOT / project()["configs"]["headrace"]["file"], {})


def seconds(duration: str) -> float:
    number, unit = re.fullmatch(r"(\d+)(s|m)", duration, re.ASCII).groups()  # type: ignore[union-attr]
    return timedelta(**{{"s": "seconds", "m": "minutes"}[unit]: int(number)}).total_seconds()


def port_of(listen: str) -> int:
    return int(listen.rpartition(":")[2])


def probed_port(service: Service) -> int:
    (port,) = re.findall(r"127\.0\.0\.1:(\d+)/", service["healthcheck"]["test"][-1])
    return int(port)


def published(service: Service) -> set[int]:
    return {int(each.rpartition(":")[2]) for each in service.get("ports", [])}


def test_the_file_is_valid_by_the_compose_specification() -> None:
    vendored = importlib.resources.files("check_jsonschema") / "builtin_schemas/vendor"
    schema = json.loads((vendored / "compose-spec.json").read_text())
    jsonschema.validators.validator_for(schema)(schema).validate(project())


def test_the_specification_would_notice_a_misspelt_key() -> None:
    vendored = importlib.resources.files("check_jsonschema") / "builtin_schemas/vendor"
    schema = json.loads((vendored / "compose-spec.json").read_text())
    wrong: Service = {"services": {"kafka": {"image": "a", "healthchek": {}}}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validators.validator_for(schema)(schema).validate(wrong)


def test_the_broker_is_the_one_that_runs_without_docker() -> None:
    assert services()["kafka"]["image"] == f"apache/kafka:{KAFKA_VERSION}"


def test_an_open_transaction_holds_a_lane_for_ten_seconds_at_most() -> None:
    # The setting's name as the image's start script makes it.
    longest_ms = services()["kafka"]["environment"]["KAFKA_TRANSACTION_MAX_TIMEOUT_MS"]
    assert longest_ms == "10000"


def test_our_image_has_the_version_of_the_package() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {services()[name]["image"] for name in OURS} == {f"headrace:{version}"}


@pytest.mark.parametrize("name", OURS)
def test_every_command_is_one_that_headrace_has(name: str) -> None:
    assert parse_command(services()[name]["command"]).split()[0] == name


@pytest.mark.parametrize("name", ["topics", "ingress", "dispatcher", "governor"])
def test_the_configuration_is_mounted_where_the_command_looks(name: str) -> None:
    service = services()[name]
    assert [row["target"] for row in service["configs"]] == [CONFIG_PATH]
    assert service["command"][-2:] == ["--config", CONFIG_PATH]


def test_ports_are_those_of_the_configuration() -> None:
    here = config()
    listens = {port_of(here.ingress.listen), port_of(here.ingress.metrics_listen)}
    assert published(services()["ingress"]) == listens
    assert probed_port(services()["ingress"]) == port_of(here.ingress.listen)
    assert probed_port(services()["dispatcher"]) == port_of(here.dispatcher.metrics_listen)
    assert probed_port(services()["governor"]) == port_of(here.governor.metrics_listen)
    for listen in (
        here.ingress.listen,
        here.ingress.metrics_listen,
        here.dispatcher.metrics_listen,
        here.governor.metrics_listen,
    ):
        assert listen.startswith("0.0.0.0:")


def test_dispatchers_can_be_many_because_they_publish_no_port() -> None:
    assert published(services()["dispatcher"]) == set()
    assert services()["dispatcher"]["deploy"]["replicas"] >= 2


def test_the_deployments_are_the_mock_and_models_it_knows() -> None:
    command = services()["mock"]["command"]
    listen = command[command.index("--listen") + 1]
    assert probed_port(services()["mock"]) == port_of(listen)
    for deployment in config().deployments:
        assert deployment.upstream.base_url == f"http://mock:{port_of(listen)}/v1"
        assert deployment.upstream.model in NAMED
    assert MockConfig().api_key is None


def test_the_broker_is_reached_on_the_listener_for_containers() -> None:
    environment = services()["kafka"]["environment"]
    advertised = dict(
        each.split("://") for each in environment["KAFKA_ADVERTISED_LISTENERS"].split(",")
    )
    listeners = dict(each.split("://") for each in environment["KAFKA_LISTENERS"].split(","))
    assert config().kafka.bootstrap_servers == [advertised["INTERNAL"]]
    for name, address in advertised.items():
        assert port_of(address) == port_of(listeners[name])
    assert advertised["HOST"].startswith("127.0.0.1:")
    assert published(services()["kafka"]) == {port_of(listeners["HOST"])}
    assert config().kafka.replication_factor == 1
    assert config().kafka.min_insync_replicas == 1


@pytest.mark.parametrize("name", ["kafka", *OURS])
def test_every_container_is_locked_down(name: str) -> None:
    service = services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "user", "network_mode", "pid"} & service.keys()
    assert any(each.startswith("/tmp:") for each in service["tmpfs"])
    assert service["mem_limit"]


def test_every_port_is_bound_to_this_machine_only() -> None:
    for service in services().values():
        for port in service.get("ports", []):
            assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)


def test_every_long_running_service_has_a_health_check() -> None:
    for name, service in services().items():
        if name == "topics":
            assert service["healthcheck"] == {"disable": True}
        else:
            assert service["healthcheck"]["test"][0] == "CMD"


def test_each_service_waits_for_what_it_needs() -> None:
    assert services()["topics"]["depends_on"] == {"kafka": {"condition": "service_healthy"}}
    for name in ("ingress", "dispatcher", "governor"):
        needs = services()[name]["depends_on"]
        assert needs["topics"] == {"condition": "service_completed_successfully"}


def test_the_stop_grace_is_longer_than_the_drain() -> None:
    for name, drain_s in (
        ("ingress", config().ingress.drain_s),
        ("dispatcher", config().dispatcher.drain_s),
    ):
        assert seconds(services()[name]["stop_grace_period"]) >= drain_s + 5


def test_no_secret_is_in_the_file() -> None:
    for service in services().values():
        for key in service.get("environment", {}):
            assert not re.search(r"PASSWORD|SECRET|TOKEN|API_KEY", key)
