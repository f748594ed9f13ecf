"""A long-lived process: a garbage collector that looks seldom, buffers that are given back, short turns.

Each request leaves objects that reference counting frees; cycles are rare. With Python's defaults the
collector walked all imported modules every few hundred requests: 9 % of a dispatcher's CPU.

glibc raises the size from which it gives a freed buffer straight back with every larger one that is freed,
and keeps what is below. Fetches of many sizes then leave holes: 14 MB with 100,000 retries on their way.

A thread that computes, as that which writes the index, gives Python's lock to the event loop after 5 ms by
default: a question of a few steps waited for several of them.
"""

import ctypes
import gc
import sys

THRESHOLDS = (20_000, 50, 100)
TURN_S = 0.001
"""What a thread may compute while another wants to."""
GIVEN_BACK_BYTES = 128 * 1024
"""glibc's own default, which it keeps to once it has been set."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of <malloc.h>


def calm() -> None:
    """Call once, when everything that stays has been imported and built."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    sys.setswitchinterval(TURN_S)
    if sys.platform == "linux":
        _give_back()


def _give_back() -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, GIVEN_BACK_BYTES)
        mallopt(_M_MMAP_THRESHOLD, GIVEN_BACK_BYTES)
