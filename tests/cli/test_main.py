"""The `headrace` command itself: quick, and helpful when something is missing."""

import subprocess
import sys

import pytest
import typer

from headrace.cli import main
from headrace.cli.main import ENTRIES, MISSING_EXTRA, build, load, missing_extra

HEAVY = ("aiokafka", "aiohttp", "fastapi", "jgo", "openai", "uvicorn", "pydantic")


def test_help_lists_every_command_and_imports_none_of_them() -> None:
    script = (
        "import sys, headrace.cli.main as main\n"
        "sys.argv = ['headrace', '--help']\n"
        "try: main.main()\n"
        "except SystemExit: pass\n"
        "print(*sys.modules)\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)
    help_text, _, modules = ran.stdout.rstrip().rpartition("\n")
    assert all(f" {entry.name} " in help_text for entry in ENTRIES)
    assert not {name.partition(".")[0] for name in modules.split()} & set(HEAVY)


@pytest.mark.parametrize("role", ["ingress.app", "dispatcher.app", "dispatcher.governing.app"])
def test_a_role_starts_without_what_only_terminals_need(role: str) -> None:
    script = f"import sys, headrace.{role}\nassert 'rich' not in sys.modules\nimport rich.console"
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("entry", [one for one in ENTRIES if one.name != "model-server"])
def test_every_command_can_be_loaded(entry: main.Entry) -> None:
    assert callable(load(entry.target))
    assert isinstance(build(entry.name), typer.Typer)


def test_a_missing_extra_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    missing = ModuleNotFoundError("No module named 'jgo'", name="jgo.maven")
    assert missing_extra(missing) == MISSING_EXTRA
    assert "pip install 'headrace[local]'" in capsys.readouterr().err


def test_a_module_of_ours_that_is_missing_is_a_fault_and_raised() -> None:
    with pytest.raises(ModuleNotFoundError):
        missing_extra(ModuleNotFoundError("gone", name="headrace.gone"))
