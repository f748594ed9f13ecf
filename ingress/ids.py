"""Request ids: UUIDv7 (RFC 9562), so that ids sort by time and an id tells its age."""

from headrace.schemas.names import RequestId

RANDOM_BITS = 74
_VERSION = 0x7 << 76
_VARIANT = 0x2 << 62
_RAND_B = (1 << 62) - 1


def uuid7(at_ms: int, random: int) -> RequestId:
    """The UUIDv7 of `at_ms` (epoch milliseconds) and `random` (`RANDOM_BITS` random bits)."""
    number = at_ms << 80 | _VERSION | (random >> 62) << 64 | _VARIANT | random & _RAND_B
    text = b"%032x" % number
    return RequestId(
        (b"%b-%b-%b-%b-%b" % (text[:8], text[8:12], text[12:16], text[16:20], text[20:])).decode()
    )
