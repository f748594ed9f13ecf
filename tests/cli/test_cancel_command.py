"""`headrace cancel`: whose requests it takes back."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from headrace.cli import cancel_command
from headrace.cli.main import build
from headrace.schemas.config.model import Config
from headrace.schemas.replies import Cancel

DEPLOYMENT = """
deployments:
  - {name: d, model: m, upstream: {provider: openai, base_url: "http://127.0.0.1:1/v1", model: m}}
"""
TENANTS = "tenants: {acme: {}, globex: {}}\n"


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Tenant and id of what was written."""
    told: list[tuple[str, str]] = []

    async def write(_config: Config, cancels: list[Cancel]) -> None:
        told.extend((one.tenant, one.id) for one in cancels)

    monkeypatch.setattr(cancel_command, "write_cancels", write)
    return told


def cancel(folder: Path, text: str, *arguments: str) -> int:
    file = folder / "headrace.yaml"
    file.write_text(text + DEPLOYMENT)
    return CliRunner().invoke(build("cancel"), ["cancel", "-c", str(file), *arguments]).exit_code


def test_it_takes_back_the_ids_of_the_tenant_that_is_named(
    tmp_path: Path, written: list[tuple[str, str]]
) -> None:
    arguments = ("--tenant", "globex", "--id", "1", "--id", "2")
    assert cancel(tmp_path, TENANTS, *arguments) == 0
    assert written == [("globex", "1"), ("globex", "2")]


def test_where_tenants_are_configured_one_must_be_named(
    tmp_path: Path, written: list[tuple[str, str]]
) -> None:
    assert cancel(tmp_path, TENANTS, "--id", "1") == 2
    assert written == []


@pytest.mark.parametrize("text", ["", "tenants: {default: {}}\n"])
def test_where_there_are_none_it_is_the_default_one(
    tmp_path: Path, written: list[tuple[str, str]], text: str
) -> None:
    assert cancel(tmp_path, text, "--id", "1") == 0
    assert written == [("default", "1")]


def test_what_cannot_be_a_tenant_is_refused(tmp_path: Path, written: list[tuple[str, str]]) -> None:
    assert cancel(tmp_path, TENANTS, "--tenant", "a\nb", "--id", "1") == 2
    assert written == []
