"""The folder for what is fetched once and used by every run: Kafka's jars, and the wheels of the
installer (pip's own cache is of no use without an index).

As a program it prints the folder: dev.py asks so before anything is installed.
"""

import contextlib
import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path

ENVIRONMENT_NAME = "HEADRACE_CACHE"


def cache_dir() -> Path:
    """This user's cache folder for Headrace, not yet created.

    HEADRACE_CACHE wins; else ~/Library/Caches on macOS, else XDG_CACHE_HOME or ~/.cache
    (XDG Base Directory Specification 0.8).
    """
    if named := os.environ.get(ENVIRONMENT_NAME):
        return Path(named).expanduser().absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "headrace"
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "headrace"
    return Path.home() / ".cache" / "headrace"


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the folder against other processes; blocks until it is free.

    The kernel drops the lock with the process, so a killed download blocks nobody.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.stdout.write(str(cache_dir()))
