"""CPU and memory of processes, read from outside."""

from collections.abc import Mapping
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Usage:
    """Of one process since its start."""

    cpu_s: float
    """User and system time; the kernel counts in steps of 10 ms."""
    rss_mb: float


def read_usage(processes: Mapping[str, int]) -> dict[str, Usage]:
    """Name -> usage of each pid. Errors: `psutil.NoSuchProcess` when one has ended."""
    return {name: _usage(psutil.Process(pid)) for name, pid in processes.items()}


def _usage(process: psutil.Process) -> Usage:
    with process.oneshot():
        times = process.cpu_times()
        return Usage(times.user + times.system, process.memory_info().rss / 1e6)


def busy_s() -> float:
    """CPU seconds of the whole machine since its start."""
    times = psutil.cpu_times()
    return times.user + times.system + times.nice


def spent(before: Mapping[str, Usage], after: Mapping[str, Usage]) -> dict[str, float]:
    """Name -> CPU seconds between two readings."""
    return {name: after[name].cpu_s - before[name].cpu_s for name in after}
