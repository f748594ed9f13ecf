"""The topics that a configuration needs, and where a request goes on them."""

import string
from itertools import pairwise
from typing import Any

import pytest
from aiokafka.partitioner import murmur2 as java_murmur2
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.config.model import Config
from headrace.schemas.names import LaneName, Tenant
from headrace.schemas.reference.tables import default_config
from headrace.schemas.topics import (
    DAY_MS,
    RECORD_BYTES,
    TENANT_SPREAD,
    TIERS,
    Topics,
    lane_place,
    murmur2,
    request_topics,
    topic_specs,
)

DEADLINES = st.floats(1, 31 * 86_400)
LANES = st.dictionaries(
    st.from_regex(r"[a-z0-9][a-z0-9_-]{0,39}", fullmatch=True),
    st.fixed_dictionaries({"deadline_s": DEADLINES}),
    min_size=1,
    max_size=4,
)
LEGAL = frozenset(string.ascii_letters + string.digits + "._-")


def config_with(lanes: dict[str, Any]) -> Config:
    return Config.model_validate(default_config().model_dump() | {"lanes": lanes})


@given(LANES)
def test_requests_outlast_the_longest_deadline_by_a_day(lanes: dict[str, Any]) -> None:
    config = config_with(lanes)
    longest_ms = 1000 * max(lane.deadline_s for lane in config.lanes.values())
    kept = {spec.name: int(spec.config["retention.ms"]) for spec in topic_specs(config)}
    names = Topics(config.kafka.topic_prefix)
    for topic in request_topics(names, config.lanes):
        assert kept[topic] >= longest_ms + DAY_MS - 1000
        assert kept[names.journal(topic)] == kept[topic]
    assert kept[names.control] >= longest_ms + DAY_MS - 1000


@given(LANES)
def test_names_of_topics_are_legal_and_told_apart(lanes: dict[str, Any]) -> None:
    names = [spec.name for spec in topic_specs(config_with(lanes))]
    assert len(set(names)) == len(names)
    # Kafka takes a dot and an underscore for the same sign where it names its metrics.
    assert len({name.replace(".", "_") for name in names}) == len(names)
    assert all(set(name) <= LEGAL and len(name) <= 249 for name in names)


def test_a_journal_has_the_partitions_of_its_topic() -> None:
    specs = {spec.name: spec for spec in topic_specs(default_config())}
    names = Topics("headrace.")
    for topic in request_topics(names, default_config().lanes):
        assert specs[names.journal(topic)].partitions == specs[topic].partitions


def test_a_topic_that_is_neither_lane_nor_delay_has_no_journal() -> None:
    with pytest.raises(ValueError, match="no journal"):
        Topics("headrace.").journal("headrace.replies")


def test_what_fits_into_a_lane_fits_into_its_delay_and_dead_letter_topics() -> None:
    limits = {
        spec.name: int(spec.config.get("max.message.bytes", 1 << 20))
        for spec in topic_specs(default_config())
    }
    names = Topics("headrace.")
    assert limits[names.requests(LaneName("batch"))] == RECORD_BYTES
    for topic in (names.delay(LaneName("batch"), "1s"), names.dead_letters):
        assert limits[topic] > RECORD_BYTES


def test_every_topic_has_the_brokers_time_and_the_configured_copies() -> None:
    for spec in topic_specs(default_config()):
        assert spec.config["message.timestamp.type"] == "LogAppendTime"
        assert spec.config["min.insync.replicas"] == "2"
        assert spec.replication == 3


def test_what_keeps_the_last_of_each_key_is_compacted_while_it_is_small() -> None:
    names = Topics("headrace.")
    specs = {spec.name: spec.config for spec in topic_specs(default_config())}
    compacted = {name for name, told in specs.items() if told["cleanup.policy"] == "compact"}
    assert compacted == {names.settings, names.breakers}
    for name in compacted:
        assert specs[name]["segment.ms"] == "600000"
        assert specs[name]["min.cleanable.dirty.ratio"] == "0.1"
        assert specs[name]["max.compaction.lag.ms"] == "1800000"


def test_delay_tiers_grow() -> None:
    assert all(short < long for short, long in pairwise(TIERS.values()))


@given(st.binary(max_size=200))
def test_a_key_gets_the_partition_that_java_gives_it(key: bytes) -> None:
    assert murmur2(key) == java_murmur2(key) & 0x7FFFFFFF


@given(st.text(min_size=1, max_size=20).map(Tenant), st.text(max_size=40), st.integers(1, 64))
def test_the_key_of_a_request_leads_to_its_partition(
    tenant: Tenant, request_id: str, partitions: int
) -> None:
    key, partition = lane_place(tenant, request_id, partitions)
    assert partition == murmur2(key) % partitions


def test_one_tenant_reaches_a_few_partitions_only() -> None:
    places = {lane_place(Tenant("acme"), f"r-{n}", 24) for n in range(2000)}
    assert len({key for key, _ in places}) == TENANT_SPREAD
    assert len({partition for _, partition in places}) <= TENANT_SPREAD


def test_nobody_has_answers_written_among_the_credits() -> None:
    names = Topics("x.")
    assert names.internal("x.limits.reports")
    assert names.internal("x.limits.grants")
