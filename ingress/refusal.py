"""Refusal: how a request is turned away, as a value that any step may return."""

import msgspec

from headrace.schemas.errors import CATALOGUE, Code, ErrorSpec


class Refusal(msgspec.Struct, frozen=True):
    """An answer of our own instead of the upstream's. `retry_after_s` 0: none is told."""

    code: Code
    message: str
    param: str | None = None
    retry_after_s: float = 0

    @property
    def spec(self) -> ErrorSpec:
        """The row of the error catalogue."""
        return CATALOGUE[self.code]
