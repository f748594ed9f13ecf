"""Ends the processes of a parent that died without ending them.

How it works: the parent holds the only write end of this process's standard input and
writes one line per child, ``+PID`` when it starts and ``-PID`` when it has been waited
for. When the parent ends, however it ends, the pipe closes; whatever is still listed then
gets SIGTERM, and SIGKILL after GRACE_S. Standard library only, so that it is up in 20 ms.
"""

import os
import signal
import sys
import time

GRACE_S = 8.0
POLL_S = 0.05


def main() -> None:
    """Follow the list until the pipe closes, then end what is left on it."""
    alive: set[int] = set()
    for line in sys.stdin:
        pid = int(line[1:])
        if line[0] == "+":
            alive.add(pid)
        else:
            alive.discard(pid)
    alive = send(signal.SIGTERM, alive)
    give_up_at = time.monotonic() + GRACE_S
    while alive and time.monotonic() < give_up_at:
        time.sleep(POLL_S)
        alive = send(0, alive)
    send(signal.SIGKILL, alive)


def send(number: int, pids: set[int]) -> set[int]:
    """Signal each process; return those that still exist (0 only asks)."""
    alive = set()
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue  # gone, or its number belongs to somebody else by now
        alive.add(pid)
    return alive


if __name__ == "__main__":
    main()
