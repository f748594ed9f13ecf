"""Which consumer group reads which topics: one per lane, one for all delay topics."""

from collections.abc import Iterable

import msgspec

from headrace.schemas.names import LaneName
from headrace.schemas.topics import TIERS, Topics

FETCH_BYTES = 256 * 1024
FETCH_WAIT_MS = 100
DELAY_FETCH_BYTES = 64 * 1024
"""What waits for its time should not fill the memory of its reader."""
DELAY_FETCH_WAIT_MS = 400
"""A delay record is read long before its time; idle fetches over many partitions cost CPU."""


class Group(msgspec.Struct, frozen=True):
    """A group, its topics (name -> lane and constant delay in ms), and how they are fetched."""

    name: str
    topics: dict[str, tuple[LaneName, int]]
    fetch_bytes: int
    """A partition, a fetch."""
    fetch_wait_ms: int
    """How long the broker holds a fetch that finds nothing."""


def groups(topics: Topics, lanes: Iterable[LaneName]) -> list[Group]:
    """All groups of a dispatcher."""
    lanes = list(lanes)
    delays = {
        topics.delay(lane, tier): (lane, delay_ms)
        for lane in lanes
        for tier, delay_ms in TIERS.items()
    }
    return [
        *(
            Group(
                topics.dispatch_group(lane),
                {topics.requests(lane): (lane, 0)},
                FETCH_BYTES,
                FETCH_WAIT_MS,
            )
            for lane in lanes
        ),
        Group(topics.delay_group, delays, DELAY_FETCH_BYTES, DELAY_FETCH_WAIT_MS),
    ]
