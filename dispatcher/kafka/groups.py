"""Which consumer group reads which topics: one per lane, one for all delay topics."""

from collections.abc import Iterable

import msgspec
from aiokafka import AIOKafkaConsumer

from headrace.schemas.config.clients import client_options
from headrace.schemas.config.model import Config
from headrace.schemas.names import LaneName
from headrace.schemas.topics import TIERS, Topics

FETCH_BYTES = 256 * 1024
FETCH_WAIT_MS = 100
DELAY_FETCH_BYTES = 64 * 1024
"""What waits for its time should not fill the memory of its reader."""
DELAY_FETCH_WAIT_MS = 400
"""A delay record is read long before its time; idle fetches over many partitions cost CPU."""

_TOPICS_AGE_MS = 30_000
"""How long a partition that was added may go unnoticed."""
_HOURS_MS = 12 * 3_600_000
"""aiokafka's own poll watchdog is set out of the way: a busy dispatcher is not a dead one."""


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


def group_consumer(config: Config, group: Group) -> AIOKafkaConsumer:
    """A member of a group that commits by hand only, and reads committed records only."""
    timing = config.dispatcher
    return AIOKafkaConsumer(
        **client_options(config.kafka),
        client_id=group.name,
        group_id=group.name,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        session_timeout_ms=round(timing.session_timeout_s * 1000),
        heartbeat_interval_ms=round(timing.heartbeat_s * 1000),
        rebalance_timeout_ms=30_000,
        max_poll_interval_ms=_HOURS_MS,
        metadata_max_age_ms=_TOPICS_AGE_MS,
        fetch_max_wait_ms=group.fetch_wait_ms,
        max_partition_fetch_bytes=group.fetch_bytes,
    )
