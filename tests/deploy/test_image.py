"""The Dockerfile: what goes in, as whom it runs, and that it needs no place to write."""

import fnmatch
import re
import tomllib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


@cache
def instructions() -> tuple[tuple[str, str], ...]:
    """Keyword and arguments of each instruction, continued lines joined, comments left out."""
    lines = [
        line
        for line in (ROOT / "Dockerfile").read_text().splitlines()
        if line.strip() and not line.lstrip().startswith("#")
    ]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines()
    return tuple((line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in joined)


def all_of(keyword: str) -> list[str]:
    return [arguments for each, arguments in instructions() if each == keyword]


def final_stage() -> list[tuple[str, str]]:
    last = max(place for place, (keyword, _) in enumerate(instructions()) if keyword == "FROM")
    return list(instructions()[last:])


def copied() -> list[str]:
    """Paths of the repository that are copied into a stage."""
    return [
        source.rstrip("/")
        for arguments in all_of("COPY")
        if not arguments.startswith("--from")
        for source in arguments.split()[:-1]
    ]


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps `path` out; the last matching line decides."""
    out = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!").removeprefix("**/")
        if pattern and not pattern.startswith("#"):
            anywhere = line.startswith("**/")
            tried = path.split("/") if anywhere else [path, path.split("/", maxsplit=1)[0]]
            if any(fnmatch.fnmatchcase(each, pattern) for each in tried):
                out = not line.startswith("!")
    return out


def test_both_stages_start_from_the_same_base_that_can_be_given_by_digest() -> None:
    assert all_of("FROM") == ["${PYTHON_IMAGE} AS build", "${PYTHON_IMAGE}"]
    (default,) = (each for each in all_of("ARG") if each.startswith("PYTHON_IMAGE="))
    assert re.fullmatch(r"PYTHON_IMAGE=python:3\.1[123]-slim", default)


def test_it_runs_as_a_number_that_is_not_root() -> None:
    (user,) = all_of("USER")
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)
    assert ("USER", user) in final_stage()


def test_it_starts_the_command_itself_so_that_signals_arrive() -> None:
    assert all_of("ENTRYPOINT") == ['["headrace"]']
    assert not all_of("CMD")


def test_every_package_is_installed_by_hash_or_from_the_sources() -> None:
    installs = [part for run in all_of("RUN") for part in run.split("&&") if " install " in part]
    assert len(installs) == 3
    for install in installs:
        assert "--require-hashes" in install or "--no-deps --no-index" in install
    assert {"requirements-build.lock", "requirements-base.lock"} <= set(copied())


def test_all_rooms_are_copied_and_nothing_that_does_not_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    rooms = {path.split("/")[0] for path in project["tool"]["setuptools"]["package-dir"].values()}
    assert rooms <= set(copied())
    assert all((ROOT / path).exists() for path in copied())


def test_the_build_sees_what_is_copied_and_nothing_else() -> None:
    assert not [path for path in copied() if ignored(path)]
    others = {path.name for path in ROOT.iterdir()} - set(copied())
    assert not [name for name in [*others, ".env", ".git", "id_rsa"] if not ignored(name)]
    assert ignored("cli/__pycache__/main.pyc")


def test_nothing_is_fetched_from_an_address_and_no_secret_is_baked_in() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert "://" not in text
    assert not all_of("ADD")
    assert not re.search(r"(?i)(password|secret|token|api_?key)\s*=", text)


def test_a_read_only_root_is_enough() -> None:
    (environment,) = (arguments for keyword, arguments in final_stage() if keyword == "ENV")
    assert "PYTHONDONTWRITEBYTECODE=1" in environment
    assert "HOME=/tmp" in environment
    assert not all_of("VOLUME")


def test_the_label_names_licence_and_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    (labels,) = all_of("LABEL")
    assert 'org.opencontainers.image.licenses="Apache-2.0"' in labels
    assert f"VERSION={version}" in all_of("ARG")
    assert any(arguments.startswith("LICENSE ") for _, arguments in final_stage())
