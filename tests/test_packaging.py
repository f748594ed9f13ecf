"""The repository's own rules: packages, locks, sizes, and nothing of one machine in it."""

import ast
import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("cli", "dispatcher", "ingress", "schemas", "telemetry")
MODULE_LINES = 300
FUNCTION_LINES = 60
LOCKED_EXTRAS: dict[str, tuple[str, ...]] = {
    "requirements-base.lock": (),
    "requirements.lock": ("local",),
    "requirements-dev.lock": ("local", "dev"),
    "requirements-model.lock": ("local", "dev", "model"),
}
LOCKS = [*LOCKED_EXTRAS, "requirements-build.lock"]


@cache
def project() -> dict[str, dict[str, dict[str, list[str]]]]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


@cache
def committed() -> tuple[Path, ...]:
    """Files that git knows or would take; a checkout without git has no such list."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    paths = (ROOT / name for name in listed.stdout.decode().split("\0") if name)
    return tuple(path for path in paths if path.is_file())


def modules() -> list[Path]:
    return [path for path in committed() if path.suffix == ".py"]


def test_every_package_on_disk_is_in_pyproject() -> None:
    on_disk = {
        f"headrace.{init.parent.relative_to(ROOT).as_posix().replace('/', '.')}"
        for room in ROOMS
        for init in (ROOT / room).rglob("__init__.py")
    }
    assert set(project()["tool"]["setuptools"]["packages"]) == on_disk


def test_every_folder_with_code_is_a_package() -> None:
    bare = {
        module.parent
        for module in modules()
        if module.relative_to(ROOT).parts[0] in ROOMS
        and not (module.parent / "__init__.py").exists()
    }
    assert not bare


@pytest.mark.parametrize("name", LOCKED_EXTRAS)
def test_the_lock_satisfies_pyproject(name: str) -> None:
    locked = locked_versions(name)
    metadata = project()["project"]
    wanted = [*metadata["dependencies"]]
    for extra in LOCKED_EXTRAS[name]:
        wanted += metadata["optional-dependencies"][extra]
    for line in wanted:
        requirement = Requirement(line)
        versions = locked.get(canonicalize_name(requirement.name), set())
        assert versions, f"{name} lacks {line}: python3 dev.py lock"
        assert all(requirement.specifier.contains(version) for version in versions), line


def test_the_locks_agree_on_every_version() -> None:
    everything = locked_versions("requirements-model.lock")
    for name in LOCKED_EXTRAS:
        for package, versions in locked_versions(name).items():
            assert versions <= everything[package], f"{name}: {package}"


@pytest.mark.parametrize("name", LOCKS)
def test_the_lock_hashes_everything_and_names_no_host(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    assert "://" not in text
    entries = re.split(r"\n(?=\S)", text.strip())
    assert all("--hash=sha256:" in entry for entry in entries)


def test_the_readme_prints_every_promise() -> None:
    printed = re.findall(r"^\| (P\d+) \|", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    assert printed == [f"P{number}" for number in range(1, 16)]


def test_links_between_pages_lead_somewhere() -> None:
    pages = [path for path in committed() if path.suffix == ".md"]
    lost = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in pages
        for link in re.findall(r"\]\(((?!https?:)[^)\s]+)\)", page.read_text("utf-8"))
        if not _found(page, link)
    ]
    assert not lost


def _found(page: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = page.parent / name if name else page
    if not target.exists():
        return False
    if not anchor:
        return True
    headings = re.findall(r"^#+ (.+)$", target.read_text("utf-8"), re.MULTILINE)
    return anchor in {re.sub(r"[^\w -]", "", text).lower().replace(" ", "-") for text in headings}


def test_no_committed_file_names_a_machine() -> None:
    private = re.compile(r"/root/|/home/(?!nonroot)\w+/|file:///|https?://[^/\s\"'@]+:[^/\s@{$]+@")
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in committed()
        if path != Path(__file__) and path.suffix not in {".png", ".svg"}
        for match in private.finditer(path.read_text("utf-8", "replace"))
    ]
    assert not found


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_and_functions_stay_small(path: Path) -> None:
    source = path.read_text("utf-8")
    assert len(source.splitlines()) <= MODULE_LINES
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= FUNCTION_LINES, f"{node.name} has {length} lines"


@cache
def locked_versions(name: str) -> dict[str, set[str]]:
    """Package -> versions; several where a marker splits them."""
    versions: dict[str, set[str]] = {}
    for line in (ROOT / name).read_text("utf-8").splitlines():
        if match := re.match(r"([A-Za-z0-9._-]+)==([^\s;\\]+)", line):
            versions.setdefault(canonicalize_name(match[1]), set()).add(match[2])
    return versions
