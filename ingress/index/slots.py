"""Which file is this process's: the first free slot of the folder, held by a lock on a file beside it.

A process that starts again finds the file of the one that ended; several on one host have one each.
The lock goes with the process, however it ends.
"""

import os
import sys
import tempfile
from io import FileIO
from pathlib import Path

SLOTS = 256
"""Processes that may share one folder."""


class Slot:
    """A file for one process only, until `close`."""

    def __init__(self, path: Path, lock: FileIO) -> None:
        self.path = path
        self._lock = lock

    def close(self) -> None:
        """Leave the slot to others."""
        self._lock.close()


def take_slot(folder: Path) -> Slot:
    """The first free slot of `folder`, which is made if need be. Raises `OSError`."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _refuse_a_strangers(folder)
    for number in range(SLOTS):
        lock = FileIO(folder / f"index-{number}.lock", "a")
        if _locked(lock):
            return Slot(folder / f"index-{number}.sqlite", lock)
        lock.close()
    raise OSError(f"all {SLOTS} slots of {folder} are taken")


def _refuse_a_strangers(folder: Path) -> None:
    """In the platform's temporary folder any user may have taken the name first."""
    if not hasattr(os, "getuid") or Path(tempfile.gettempdir()) not in folder.parents:
        return
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user")


if sys.platform == "win32":
    import msvcrt

    def _locked(lock: FileIO) -> bool:
        try:
            msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _locked(lock: FileIO) -> bool:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
