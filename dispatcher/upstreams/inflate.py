"""Unpacks an answer that came compressed, never to more than its bound.

Asked for `identity`, an upstream should not compress at all; one behind a careless proxy does.
"""

import zlib

AUTO_WBITS = 47
"""gzip or zlib, told apart by zlib itself."""


class TooLarge(Exception):
    """The answer passed its bound."""


class Undecodable(Exception):
    """Not what its content encoding says, or an encoding that was never offered."""


class Inflater:
    """Takes packed bytes, gives unpacked ones, at most `max_bytes` in all."""

    def __init__(self, encoding: str, max_bytes: int) -> None:
        """Raises `Undecodable` for an encoding other than gzip and deflate."""
        if encoding not in ("gzip", "x-gzip", "deflate"):
            raise Undecodable("an unknown content encoding")
        self._left = max_bytes
        self._member = zlib.decompressobj(AUTO_WBITS)

    def feed(self, packed: bytes) -> bytes:
        """Raises `TooLarge`, `Undecodable`."""
        out: list[bytes] = []
        while packed:
            if self._member.eof:
                self._member = zlib.decompressobj(AUTO_WBITS)
            try:
                unpacked = self._member.decompress(packed, self._left + 1)
            except zlib.error as error:
                raise Undecodable("damaged compressed bytes") from error
            self._left -= len(unpacked)
            if self._left < 0:
                raise TooLarge
            out.append(unpacked)
            packed = self._member.unused_data
        return b"".join(out)

    def end(self) -> None:
        """No more will come. Raises `Undecodable` where more had to."""
        if not self._member.eof:
            raise Undecodable("compressed bytes end early")
