"""How long calls of a model take: running quantiles, in constant memory. No I/O.

Quantiles, not the mean: a few long answers must not make everybody's retry look hopeless. Each call
moves an estimate towards itself, by steps whose ratio is that of the calls on either side when it rests.
"""

from typing import Final

import msgspec

from headrace.schemas.names import ModelName

STEP: Final = 1.05
LEAST_MS: Final = 1.0
SLOW: Final = 0.9
"""The share of calls that are not slower than `slow_ms`."""


class _Quantile(msgspec.Struct):
    share: float
    ms: float

    def took(self, ms: float) -> None:
        if ms > self.ms:
            self.ms *= STEP**self.share
        elif ms < self.ms:
            self.ms = max(self.ms * STEP ** (self.share - 1), LEAST_MS)


class ServiceTimes:
    """Service times of this process's models, in milliseconds; 0 while no call has ended here."""

    def __init__(self) -> None:
        self._known: dict[ModelName, tuple[_Quantile, _Quantile]] = {}

    def typical_ms(self, model: ModelName) -> int:
        """What a usual good call takes: the median."""
        known = self._known.get(model)
        return int(known[0].ms) if known else 0

    def slow_ms(self, model: ModelName) -> int:
        """Nine of ten good calls end within it."""
        known = self._known.get(model)
        return int(known[1].ms) if known else 0

    def took(self, model: ModelName, ms: float) -> None:
        """A call gave a whole, good answer after `ms`."""
        known = self._known.get(model)
        if known is None:
            least = max(ms, LEAST_MS)
            self._known[model] = (_Quantile(0.5, least), _Quantile(SLOW, least))
            return
        for quantile in known:
            quantile.took(ms)

    def cut(self, model: ModelName, ms: float) -> None:
        """A call was ended after `ms`, before its answer: it would have taken longer."""
        for quantile in self._known.get(model, ()):
            if ms > quantile.ms:
                quantile.took(ms)
