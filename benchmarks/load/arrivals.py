"""When the requests of an open loop are due; the same seed gives the same load."""

import random
from collections.abc import Iterator


def poisson(rate: float, seconds: float, seed: int) -> Iterator[float]:
    """Due times in seconds from 0, ascending, below `seconds`: `rate` a second on average."""
    dice = random.Random(seed)
    at = dice.expovariate(rate)
    while at < seconds:
        yield at
        at += dice.expovariate(rate)
