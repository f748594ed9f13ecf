"""Refusal: how a request is turned away, as a value that any step may return."""

import msgspec

from headrace.schemas.errors import CATALOGUE, Code, ErrorSpec


class Refusal(msgspec.Struct, frozen=True):
    """An answer of our own instead of the upstream's. `retry_after_s` 0: none is told."""

    code: Code
    message: str
    param: str | None = None
    retry_after_s: float = 0
    location: str = ""
    """Where the answer will be, if that is somewhere."""
    again: bool | None = None
    """Whether the same request may be sent again; None: as the code says."""

    @property
    def spec(self) -> ErrorSpec:
        """The row of the error catalogue."""
        return CATALOGUE[self.code]
