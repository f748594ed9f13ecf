"""The garbage collector of a long-lived process: made to look seldom at what stays for ever.

Each request leaves objects that reference counting frees; cycles are rare. With Python's defaults the
collector walked all imported modules every few hundred requests: 9 % of a dispatcher's CPU.
"""

import gc

THRESHOLDS = (20_000, 50, 100)


def calm() -> None:
    """Call once, when everything that stays has been imported and built."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
