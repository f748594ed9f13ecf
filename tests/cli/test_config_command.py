"""`headrace config` and `headrace keys`, as a shell sees them."""

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
import typer
import yaml
from typer.testing import CliRunner

from headrace.cli import config_command, keys_command, roles
from headrace.schemas.keys import matching, well_formed

CANARY = "canary-51c0"
GOOD = """\
auth: {mode: keys, pepper: "${env:PEPPER}"}
ingress: {listen: "127.0.0.1:8080"}
deployments:
- name: east
  model: gpt-4o
  upstream: {base_url: "https://api.example.com/v1", api_key: "${env:KEY}"}
tenants: {acme: {}}
"""
ENVIRON = {"PEPPER": CANARY, "KEY": CANARY}
runner = CliRunner()


@pytest.fixture
def good(tmp_path: Path) -> str:
    path = tmp_path / "c.yaml"
    path.write_text(GOOD, encoding="utf-8")
    return str(path)


def test_check_says_that_a_configuration_holds_and_warns(good: str) -> None:
    result = runner.invoke(config_command.app, ["check", "-c", good], env=ENVIRON)
    assert result.exit_code == 0
    assert result.stdout == f"{good}: holds, 1 warning\n"
    assert result.stderr == f"warning: {good}:1: auth.mode: no tenant has a key: all is refused\n"


def test_check_reports_problems_on_standard_error_and_exits_with_78(good: str) -> None:
    result = runner.invoke(config_command.app, ["check", "-c", good])
    assert result.exit_code == 78
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        f"{good}:1: auth.pepper: the environment variable PEPPER is not set",
        f"{good}:6: deployments[0].upstream.api_key: the environment variable KEY is not set",
    ]


@pytest.mark.parametrize("role", [roles.ingress, roles.dispatcher])
def test_a_role_ends_with_the_problems_of_its_configuration(
    role: Callable[[Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as caught:
        role(tmp_path / "c.yaml")
    assert caught.value.exit_code == 78
    assert "c.yaml: cannot be read: No such file" in capsys.readouterr().err


def test_show_prints_what_is_in_force_without_secrets(good: str) -> None:
    result = runner.invoke(config_command.app, ["show", "-c", good], env=ENVIRON)
    shown = yaml.safe_load(result.stdout)
    assert shown["ingress"]["listen"] == "127.0.0.1:8080"
    assert shown["lanes"]["interactive"]["deadline_s"] == 120
    assert CANARY not in result.output


def test_schema_is_a_schema_that_the_file_meets() -> None:
    result = runner.invoke(config_command.app, ["schema"])
    jsonschema.Draft202012Validator(json.loads(result.stdout)).validate(yaml.safe_load(GOOD))


def test_a_new_key_is_printed_once_with_the_digest_for_the_configuration(good: str) -> None:
    result = runner.invoke(keys_command.app, ["create", "-t", "acme", "-c", good], env=ENVIRON)
    key = result.stdout.strip()
    (digest,) = yaml.safe_load(result.stderr)["tenants"]["acme"]["keys"]
    assert well_formed(key) == "acme"
    assert matching(key, CANARY, [digest])


def test_a_tenant_that_cannot_be_gets_no_key(good: str) -> None:
    result = runner.invoke(keys_command.app, ["create", "-t", "a/b", "-c", good], env=ENVIRON)
    assert result.exit_code == 2
    assert result.stdout == ""


def test_keys_need_a_pepper(good: str) -> None:
    path = Path(good)
    path.write_text("\n".join(GOOD.splitlines()[1:]), encoding="utf-8")
    result = runner.invoke(keys_command.app, ["create", "-t", "acme", "-c", good], env=ENVIRON)
    assert result.exit_code == 78
    assert result.stderr == f"{good}: auth.pepper: is required to make keys\n"
