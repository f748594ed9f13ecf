"""The topics of an installation, computed from its configuration; nothing here talks to Kafka.

All carry the broker's append time, so that no host's clock decides when something is due.
"""

import zlib
from collections.abc import Iterable
from functools import lru_cache

import msgspec

from headrace.schemas.config.model import Config
from headrace.schemas.names import LaneName, Tenant

TIERS: dict[str, int] = {"1s": 1_000, "10s": 10_000, "1m": 60_000, "10m": 600_000}
"""Delay tiers and their constant delay in ms, shortest first."""

DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS
COMPACTED = {
    "cleanup_policy": "compact",
    "segment_ms": "600000",
    "min_cleanable_dirty_ratio": "0.1",
    "max_compaction_lag_ms": "1800000",
}
"""The last record of each key is kept for good. Whoever starts reads all that is there, and the segment that
is written to is never compacted: so short ones, compacted within half an hour however little they hold."""
HOUR_MS = 3_600_000
RECORD_BYTES = 4 * 1024 * 1024
MAX_PACKED_BYTES = 256 * 1024 * 1024
"""What a producer that compresses takes: it looks at a record's size before that, the broker after it."""
TENANT_SPREAD = 8
"""One tenant reaches at most this many partitions of a lane, so a flood of one leaves others free."""
INDEXED_PARTITIONS = 16
"""Of `status` and `claims`. Never changed: the order of one partition decides what came first."""
INBOX_PARTITIONS = 4
RESULTS_MS = 3 * DAY_MS
"""How long results are kept, and states at least."""
CLAIMS_MS = 2 * DAY_MS
"""How long idempotency keys are kept."""
LIMIT_PARTITIONS = 8
"""Of `limits.reports` and `limits.grants`. Never changed: each partition is one log of credits."""
BREAKER_PARTITIONS = 1
"""Of `breakers`. One: a single owner writes all rows, a few records a minute, and who reads to the end of one
log knows all of them."""
LIMITS_MS = 2 * HOUR_MS
"""How long reports and grants are kept: a new governor reads a few minutes of them."""


class TopicSpec(msgspec.Struct, frozen=True):
    """One topic as it should be."""

    name: str
    partitions: int
    replication: int
    config: dict[str, str]


class Topics:
    """Names of the topics under one prefix."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.replies = prefix + "replies"
        self.control = prefix + "control"
        self.dead_letters = prefix + "dead-letters"
        self.fleet = prefix + "fleet"
        self.events = prefix + "events"
        self.results = prefix + "results"
        self.status = prefix + "status"
        self.claims = prefix + "claims"
        self.limit_reports = prefix + "limits.reports"
        self.limit_grants = prefix + "limits.grants"
        self.limit_outlook = prefix + "limits.outlook"
        self.settings = prefix + "settings"
        self.breakers = prefix + "breakers"
        self._private = frozenset(
            (
                *(self.control, self.dead_letters, self.fleet, self.events),
                *(self.status, self.claims, self.limit_reports, self.limit_grants),
                *(self.limit_outlook, self.settings, self.breakers),
            )
        )

    def requests(self, lane: LaneName) -> str:
        """Topic of a lane."""
        return f"{self.prefix}requests.{lane}"

    def delay(self, lane: LaneName, tier: str) -> str:
        """Topic of a lane's delay tier."""
        return f"{self.prefix}delay.{lane}.{tier}"

    def journal(self, source: str) -> str:
        """Journal of a lane's or a delay tier's topic."""
        for kind in ("requests.", "delay."):
            stem = self.prefix + kind
            if source.startswith(stem):
                return f"{self.prefix}journal.{source[len(stem) :]}"
        raise ValueError(f"{source} has no journal")

    def lane_of(self, source: str) -> LaneName | None:
        """Lane of a request or delay topic; None for any other topic."""
        stem = source.removeprefix(self.prefix)
        if stem == source and self.prefix:
            return None
        kind, _, rest = stem.partition(".")
        if kind == "delay":
            rest = rest.rpartition(".")[0]
        return LaneName(rest) if kind in ("requests", "delay") and rest else None

    def inbox(self, tenant: Tenant) -> str:
        """Where a tenant that is not trusted with the lanes writes its requests."""
        return f"{self.prefix}inbox.{tenant}"

    def internal(self, name: str) -> bool:
        """Whether a topic is one of ours that is no address for answers."""
        ours = tuple(self.prefix + kind for kind in ("requests.", "delay.", "journal.", "inbox."))
        return name in self._private or name.startswith(ours)

    def dispatch_group(self, lane: LaneName) -> str:
        """Consumer group of a lane."""
        return f"{self.prefix}dispatch.{lane}"

    @property
    def intake_group(self) -> str:
        """Consumer group of all inboxes."""
        return f"{self.prefix}intake"

    @property
    def delay_group(self) -> str:
        """Consumer group of all delay topics."""
        return f"{self.prefix}delay"


def topic_specs(config: Config) -> tuple[TopicSpec, ...]:
    """Every topic that `config` needs, in the order they are created."""
    names = Topics(config.kafka.topic_prefix)
    counts = config.kafka.partitions
    longest_ms = _longest_ms(config)
    keep_ms = max(longest_ms + DAY_MS, 2 * DAY_MS)
    specs: list[TopicSpec] = []

    def add(name: str, partitions: int, retention_ms: int, **extra: str) -> None:
        own = {key.replace("_", "."): value for key, value in extra.items()}
        topic_config = _settings(retention_ms, config.kafka.min_insync_replicas) | own
        specs.append(TopicSpec(name, partitions, config.kafka.replication_factor, topic_config))

    large = str(RECORD_BYTES)
    for lane in config.lanes:
        requests = names.requests(lane)
        add(requests, counts.requests, keep_ms, max_message_bytes=large)
        add(names.journal(requests), counts.requests, keep_ms, max_message_bytes=large)
        for tier in TIERS:
            delay = names.delay(lane, tier)
            add(delay, counts.delay, keep_ms, max_message_bytes=str(RECORD_BYTES + 65536))
            add(names.journal(delay), counts.delay, keep_ms, max_message_bytes=large)
    add(
        names.dead_letters,
        counts.dead_letters,
        14 * DAY_MS,
        max_message_bytes=str(RECORD_BYTES + 65536),
    )
    add(
        names.replies,
        counts.replies,
        HOUR_MS,
        max_message_bytes=str(RECORD_BYTES),
        segment_bytes=str(64 << 20),
    )
    add(names.results, counts.replies, RESULTS_MS, max_message_bytes=large)
    add(names.status, INDEXED_PARTITIONS, status_kept_ms(config))
    add(names.claims, INDEXED_PARTITIONS, CLAIMS_MS)
    for tenant, settings in config.tenants.items():
        if settings.inbox:
            inbox = names.inbox(tenant)
            add(inbox, INBOX_PARTITIONS, keep_ms, max_message_bytes=large)
    add(names.control, counts.control, longest_ms + DAY_MS)
    add(names.fleet, 1, HOUR_MS)
    add(names.events, counts.events, 7 * DAY_MS)
    add(names.limit_reports, LIMIT_PARTITIONS, LIMITS_MS, max_message_bytes=large)
    add(names.limit_grants, LIMIT_PARTITIONS, LIMITS_MS, max_message_bytes=large)
    add(names.limit_outlook, 1, HOUR_MS)
    add(names.settings, 1, WEEK_MS, **COMPACTED)
    add(names.breakers, BREAKER_PARTITIONS, WEEK_MS, **COMPACTED)
    return tuple(specs)


def status_kept_ms(config: Config) -> int:
    """How long states are kept: what waits for days must be known until it has ended."""
    return max(RESULTS_MS, _longest_ms(config) + DAY_MS)


def _longest_ms(config: Config) -> int:
    return max(lane.max_deadline_s for lane in config.lanes.values()) * 1000


def _settings(retention_ms: int, min_insync: int) -> dict[str, str]:
    return {
        "cleanup.policy": "delete",
        "message.timestamp.type": "LogAppendTime",
        "min.insync.replicas": str(min_insync),
        "retention.ms": str(retention_ms),
        "retention.bytes": "-1",
        "segment.ms": str(retention_ms // 12),
    }


def request_topics(names: Topics, lanes: Iterable[LaneName]) -> list[str]:
    """Topics whose retention must outlast the longest deadline."""
    return [
        t for lane in lanes for t in (names.requests(lane), *(names.delay(lane, k) for k in TIERS))
    ]


@lru_cache(maxsize=65536)
def _slot_partition(tenant: Tenant, slot: int, partitions: int) -> tuple[bytes, int]:
    key = f"{tenant}#{slot}".encode()
    return key, key_partition(key, partitions)


@lru_cache(maxsize=65536)
def key_partition(key: bytes, partitions: int) -> int:
    """The partition that a default Kafka partitioner gives `key`."""
    return murmur2(key) % partitions


def lane_place(tenant: Tenant, request_id: str, partitions: int) -> tuple[bytes, int]:
    """Key and partition of a request on its lane: the same that a default Kafka partitioner gives the key."""
    slot = zlib.crc32(request_id.encode()) % min(partitions, TENANT_SPREAD)
    return _slot_partition(tenant, slot, partitions)


def murmur2(key: bytes) -> int:
    """Kafka's default partitioner hash, made positive as the Java client does (seed 0x9747b28c)."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = 0x9747B28C ^ len(key)
    whole = len(key) & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(key[i : i + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    tail = key[whole:]
    if tail:
        h = (h ^ int.from_bytes(tail, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return (h ^ h >> 15) & 0x7FFFFFFF
