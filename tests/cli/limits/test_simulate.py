"""`headrace limits simulate`: limits of a configuration, played without Kafka."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from headrace.cli.limits.command import WRONG, app

CONFIG = """
pools:
  account: {limits: {requests_per_minute: 60}}
tenants:
  a: {weight: 2}
  b: {}
deployments:
  - {name: east, model: m, limits: {pool: account}, upstream: {base_url: "https://example.com/v1"}}
  - name: west
    model: m
    limits: {pool: account, requests_per_minute: 20, tokens_per_minute: 9000}
    upstream: {base_url: "https://example.com/v1"}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "headrace.yaml"
    file.write_text(CONFIG)
    return file


def run(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["simulate", "-c", str(config), *arguments])


def test_no_limit_is_exceeded_and_all_of_the_narrowest_is_used(config: Path) -> None:
    told = json.loads(run(config, "-o", "json", "--demand", "3").stdout)
    assert told["violations"] == []
    assert all(limit["most"] <= limit["limit"] for limit in told["limits"])
    used = {(limit["scope"], limit["dimension"]): limit["used_percent"] for limit in told["limits"]}
    assert used["pool account", "requests"] > 95


def test_the_table_names_limits_and_tenants(config: Path) -> None:
    result = run(config, "--minutes", "2")
    assert result.exit_code == 0
    for word in ("pool account", "total_tokens", "east", "west", "were admitted"):
        assert word in result.stdout


def test_traffic_comes_from_a_file(config: Path, tmp_path: Path) -> None:
    traffic = tmp_path / "traffic.yaml"
    flow = "{deployment: east, tenant: a, lane: batch, per_minute: 30, sizes: [[10, 10]]}"
    traffic.write_text(f"dispatchers: 2\nminutes: 3\nflows:\n  - {flow}\n")
    told = json.loads(run(config, "-o", "json", "--traffic", str(traffic)).stdout)
    (only,) = told["flows"]
    assert (only["lane"], only["tenant"]) == ("batch", "a")
    assert only["wait_p50_s"] < 1


def test_the_plot_is_the_same_for_the_same_run(config: Path, tmp_path: Path) -> None:
    plots = [tmp_path / "one.svg", tmp_path / "two.svg"]
    for plot in plots:
        assert run(config, "--minutes", "2", "--plot", str(plot)).exit_code == 0
    assert plots[0].read_bytes() == plots[1].read_bytes()
    assert plots[0].read_text().count("<polyline") == 6


def test_a_plot_that_cannot_be_written_is_a_wrong_argument(config: Path, tmp_path: Path) -> None:
    plot = tmp_path / "none" / "plot.svg"
    result = run(config, "--minutes", "0.1", "--plot", str(plot))
    assert result.exit_code == WRONG
    assert "cannot be written" in result.stderr


@pytest.mark.parametrize(
    ("flow", "says"),
    [
        ("{deployment: nowhere, per_minute: 1}", "no deployment is called nowhere"),
        ("{deployment: east, lane: express, per_minute: 1}", "no lane is called express"),
        ("{deployment: east, per_minute: 0}", "per_minute"),
    ],
)
def test_traffic_that_cannot_be_played_is_refused(
    config: Path, tmp_path: Path, flow: str, says: str
) -> None:
    traffic = tmp_path / "traffic.yaml"
    traffic.write_text(f"flows: [{flow}]")
    result = run(config, "--traffic", str(traffic))
    assert result.exit_code == WRONG
    assert says in result.stderr


def test_without_limits_there_is_nothing_to_simulate(config: Path) -> None:
    config.write_text(
        'deployments: [{name: e, model: m, upstream: {base_url: "https://example.com/v1"}}]'
    )
    result = run(config)
    assert result.exit_code == WRONG
    assert "nothing to simulate" in result.stderr
