"""A running quantile in constant memory. No I/O.

Each sample moves the estimate towards itself, by steps whose ratio is that of the samples on either side
when it rests.
"""

from typing import Final

import msgspec

LEAST: Final = 1.0
STEP: Final = 1.05


class Quantile(msgspec.Struct):
    """Below `value` lies `share` of what was seen. A larger `step` learns faster and rests less calmly."""

    share: float
    value: float
    step: float = STEP

    def saw(self, sample: float) -> None:
        """Take one sample into account."""
        if sample > self.value:
            self.value *= self.step**self.share
        elif sample < self.value:
            self.value = max(self.value * self.step ** (self.share - 1), LEAST)
