"""What is known of an idempotency key: the first claim of it, in the order of the log. Pure."""

import msgspec

from headrace.schemas.claims import Claim, claimed_id
from headrace.schemas.names import InstanceId, LaneName, ModelName, RequestId
from headrace.schemas.topics import CLAIMS_MS


class KnownClaim(msgspec.Struct, frozen=True, array_like=True):
    """The claim that won, and where it stands. Times are epoch ms by the broker's clock."""

    digest: str
    lane: LaneName
    model: ModelName
    instance: InstanceId
    deadline_ms: int
    partition: int
    offset: int
    claimed_ms: int
    """Append time."""

    @property
    def id(self) -> RequestId:
        """The id of the key's request."""
        return claimed_id(self.partition, self.offset)

    def holds_at(self, now_ms: int) -> bool:
        """A key is free again when its claim is as old as claims are kept."""
        return now_ms <= self.claimed_ms + CLAIMS_MS


def known_claim(claim: Claim, partition: int, offset: int, at_ms: int) -> KnownClaim:
    """The claim that stands there."""
    return KnownClaim(
        claim.digest,
        claim.lane,
        claim.model,
        claim.instance,
        claim.deadline_ms,
        partition,
        offset,
        at_ms,
    )


def first(older: KnownClaim | None, newer: KnownClaim) -> KnownClaim:
    """Which of two claims of one key counts once the newer one was read."""
    return older if older is not None and older.holds_at(newer.claimed_ms) else newer
