"""dev.py: what it promises before it has installed anything."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import dev

ROOT = Path(__file__).resolve().parent.parent


def test_every_target_has_a_line_of_help_an_alias_in_make_and_a_row_for_contributors() -> None:
    ran = subprocess.run(
        [sys.executable, str(ROOT / "dev.py")], capture_output=True, check=True, text=True
    )
    makefile = (ROOT / "Makefile").read_text("utf-8")
    (aliases,) = [line for line in makefile.splitlines() if line.startswith("TARGETS := ")]
    assert set(aliases.split()[2:]) == set(dev.TARGETS)
    table = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    for name, function in dev.TARGETS.items():
        assert f"{name} " in ran.stdout
        assert f"| `make {name}` | `python3 dev.py {name}` |" in table
        assert len((function.__doc__ or "").splitlines()) == 1


def test_an_unknown_target_is_an_error() -> None:
    ran = subprocess.run(
        [sys.executable, str(ROOT / "dev.py"), "dance"], check=False, capture_output=True
    )
    assert ran.returncode == 2


def test_an_unsupported_python_is_told_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dev, "version_of", lambda _: (3, 9))
    with pytest.raises(SystemExit, match="Install one: apt install"):
        dev.find_python()


def test_the_advice_names_the_registry_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"https://{'me:secret'}@index.example/simple")
    advice = dev.registry_advice()
    assert "https://index.example/simple" in advice
    assert "secret" not in advice


def test_loopback_never_goes_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        told = {"NO_PROXY": "intra.example", "PIP_INDEX_URL": "http://x"}
        patched.setattr(os, "environ", told | {"PYTHONDONTWRITEBYTECODE": "1"})
        dev.set_environment()
        assert "PYTHONDONTWRITEBYTECODE" not in os.environ  # each process would compile all anew
        assert os.environ["NO_PROXY"].split(",")[:2] == ["intra.example", "127.0.0.1"]
        assert "localhost" in os.environ["no_proxy"]
        assert os.environ["UV_DEFAULT_INDEX"] == "http://x"


def test_a_lock_is_served_by_each_that_contains_it() -> None:
    assert dev.at_least("requirements-dev.lock") == [
        "requirements-dev.lock",
        "requirements-model.lock",
    ]
