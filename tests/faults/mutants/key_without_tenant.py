"""Idempotency keys of all tenants are one space."""

from faults.mutants.patching import replace
from headrace.ingress.index import index
from headrace.schemas import claims
from headrace.schemas.names import Tenant

ROLE = "ingress"


def apply() -> None:
    """What a claim is filed under, and looked up by."""

    def claim_key(_tenant: Tenant, key: str) -> bytes:
        return key.encode()

    replace(claims, claim_key=claim_key)
    replace(index, claim_key=claim_key)
