"""How long a call of a model usually takes: a running median, in constant memory. No I/O.

The median, not the mean: a few long answers must not make everybody's retry look hopeless. Each
call moves the estimate by `STEP` towards itself; half of them lie on either side when it rests.
"""

from typing import Final

from headrace.schemas.names import ModelName

STEP: Final = 1.05
LEAST_MS: Final = 1.0


class ServiceTimes:
    """Typical service times of this process's models."""

    def __init__(self) -> None:
        self._typical_ms: dict[ModelName, float] = {}

    def typical_ms(self, model: ModelName) -> int:
        """Milliseconds of a usual good call; 0 while none has ended here."""
        return int(self._typical_ms.get(model, 0.0))

    def took(self, model: ModelName, ms: float) -> None:
        """A call gave a whole, good answer after `ms`."""
        known = self._typical_ms.get(model)
        if known is None:
            self._typical_ms[model] = max(ms, LEAST_MS)
        elif ms != known:
            moved = known * STEP if ms > known else known / STEP
            self._typical_ms[model] = max(moved, LEAST_MS)
