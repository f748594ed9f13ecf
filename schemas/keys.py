"""API keys: `hr_<tenant>_<43 random>_<crc>`. Only their digests are ever stored.

The tenant in the key tells whose digests to compare with; the check sum tells a mistyped key from a
revoked one without any look-up, and lets secret scanners recognise a leaked key.
"""

import hmac
import re
import zlib
from base64 import urlsafe_b64encode
from collections.abc import Iterable

from headrace.schemas.names import Tenant

RANDOM_BYTES = 32
"""256 bits, 43 characters in base64url."""

_SHAPE = re.compile(r"hr_([A-Za-z0-9][A-Za-z0-9._-]{0,62})_[A-Za-z0-9_-]{43}_[0-9a-f]{8}", re.ASCII)
_ABSENT = "0" * 64


def mint(tenant: Tenant, random_bytes: bytes) -> str:
    """A new key of `tenant` from `RANDOM_BYTES` random bytes. Raises `ValueError`."""
    if len(random_bytes) != RANDOM_BYTES:
        raise ValueError(f"a key takes {RANDOM_BYTES} random bytes")
    stem = f"hr_{tenant}_{urlsafe_b64encode(random_bytes).rstrip(b'=').decode()}"
    return f"{stem}_{_check_sum(stem)}"


def well_formed(key: str) -> Tenant | None:
    """The tenant that `key` names, or None where its shape or its check sum is wrong."""
    shape = _SHAPE.fullmatch(key)
    if shape is None or _check_sum(key[:-9]) != key[-8:]:
        return None
    return Tenant(shape[1])


def digest(key: str, pepper: str) -> str:
    """HMAC-SHA-256 of `key` under `pepper` in hex: what the configuration holds of a key."""
    return hmac.digest(pepper.encode(), key.encode(), "sha256").hex()


def matching(key: str, pepper: str, digests: Iterable[str]) -> str:
    """The digest of `key` if it is one of `digests`, else nothing.

    None of them (an unknown tenant) costs the same as one.
    """
    mine = digest(key, pepper)
    found = hmac.compare_digest(mine, _ABSENT)
    for known in digests:
        found |= hmac.compare_digest(mine, known)
    return mine if found else ""


def _check_sum(stem: str) -> str:
    return f"{zlib.crc32(stem.encode()):08x}"
