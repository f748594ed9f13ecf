"""What the figures were taken on: the first lines of every output."""

import os
import platform
import resource
import subprocess
from pathlib import Path

import psutil

from benchmarks.harness.windows import ROOT
from benchmarks.report.rows import Row, figure

CORES = 2
"""Everything runs on so many cores: Kafka, upstreams, both stacks, the generator."""


FILES = 16_384


def machine_rows() -> list[Row]:
    """Binds this process to its cores, and says what everything is measured on."""
    return [
        figure("machine", "machine", describe_machine(), ""),
        figure("commit", "commit", describe_commit(ROOT), ""),
        figure("cores", "everything runs on", keep_to_two_cores(), ""),
    ]


def describe_machine() -> str:
    """One line."""
    memory = psutil.virtual_memory().total / 2**30
    system = f"{platform.system()} {platform.release()}"
    python = f"Python {platform.python_version()}"
    return f"{_processor()}, {_cores()} cores, {memory:.0f} GiB, {system}, {python}"


def describe_commit(root: Path) -> str:
    """The commit, and whether the tree differs from it."""
    commit = _git(root, "rev-parse", "--short=12", "HEAD")
    changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    if not commit:
        return "not a git repository"
    return f"{commit} with uncommitted changes" if changed else commit


def keep_to_two_cores() -> str:
    """Bind this process, and so all its children, to two cores; what came of it, as one line."""
    if not hasattr(os, "sched_setaffinity"):
        return f"all {_cores()} cores: this system cannot bind processes to {CORES}"
    allowed = sorted(os.sched_getaffinity(0))[:CORES]
    os.sched_setaffinity(0, allowed)
    return f"{len(allowed)} cores"


def raise_file_limit() -> None:
    """A stall of a second under an open loop opens thousands of connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _cores() -> int:
    return os.cpu_count() or 1


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return asked.stdout.strip()
