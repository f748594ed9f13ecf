"""How long calls of a model take: running quantiles, in constant memory. No I/O.

Quantiles, not the mean: a few long answers must not make everybody's retry look hopeless.
"""

from typing import Final

from headrace.dispatcher.quantile import LEAST, Quantile
from headrace.schemas.names import ModelName

SLOW: Final = 0.9
"""The share of calls that are not slower than `slow_ms`."""


class ServiceTimes:
    """Service times of this process's models, in milliseconds; 0 while no call has ended here."""

    def __init__(self) -> None:
        self._known: dict[ModelName, tuple[Quantile, Quantile]] = {}

    def typical_ms(self, model: ModelName) -> int:
        """What a usual good call takes: the median."""
        known = self._known.get(model)
        return int(known[0].value) if known else 0

    def slow_ms(self, model: ModelName) -> int:
        """Nine of ten good calls end within it."""
        known = self._known.get(model)
        return int(known[1].value) if known else 0

    def took(self, model: ModelName, ms: float) -> None:
        """A call gave a whole, good answer after `ms`."""
        known = self._known.get(model)
        if known is None:
            least = max(ms, LEAST)
            self._known[model] = (Quantile(0.5, least), Quantile(SLOW, least))
            return
        for quantile in known:
            quantile.saw(ms)

    def cut(self, model: ModelName, ms: float) -> None:
        """A call was ended after `ms`, before its answer: it would have taken longer."""
        for quantile in self._known.get(model, ()):
            if ms > quantile.value:
                quantile.saw(ms)
