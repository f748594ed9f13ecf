"""What `headrace topics` decides, by examples and by properties."""

from hypothesis import given
from hypothesis import strategies as st

from headrace.cli.topics.plan import Action, Change, Existing, pending, plan, refused
from headrace.schemas.topics import TopicSpec

SETTINGS = {"cleanup.policy": "delete", "retention.ms": "172800000", "min.insync.replicas": "1"}
SPEC = TopicSpec("lane", 4, 1, SETTINGS)


def existing(partitions: int = 4, replication: int = 1, **config: str) -> dict[str, Existing]:
    settings = SETTINGS | {name.replace("_", "."): value for name, value in config.items()}
    return {"lane": Existing(partitions, replication, settings)}


def only(changes: tuple[Change, ...]) -> Change:
    (change,) = changes
    return change


def test_a_topic_that_is_as_it_should_be_has_no_difference() -> None:
    assert plan([SPEC], existing(), {}) == ()


def test_a_missing_topic_is_created() -> None:
    changes = plan([SPEC], {}, {})
    assert only(changes).action is Action.CREATE
    assert pending(changes)


def test_partitions_are_added_and_never_taken_away() -> None:
    assert only(plan([SPEC], existing(partitions=3), {})).action is Action.GROW
    assert only(plan([SPEC], existing(partitions=5), {})).action is Action.KEEP


def test_retention_is_raised_and_never_lowered() -> None:
    raised = only(plan([SPEC], existing(retention_ms="3600000"), {}))
    assert (raised.action, raised.current) == (Action.SET, "3600000")
    assert only(plan([SPEC], existing(retention_ms="999999999999"), {})).action is Action.KEEP
    assert only(plan([SPEC], existing(retention_ms="-1"), {})).action is Action.KEEP


def test_another_cleanup_policy_is_left_to_the_operator() -> None:
    assert only(plan([SPEC], existing(cleanup_policy="compact"), {})).action is Action.KEEP


def test_a_topic_is_never_asked_for_more_replicas_in_sync_than_it_has() -> None:
    spec = TopicSpec("lane", 4, 3, SETTINGS | {"min.insync.replicas": "2"})
    changes = plan([spec], existing(), {})
    assert {change.action for change in changes} == {Action.KEEP}
    assert not pending(changes)


def test_a_retention_shorter_than_the_longest_deadline_is_refused() -> None:
    changes = plan([SPEC], {}, {"lane": 172800001})
    assert only(changes).action is Action.REFUSE
    assert refused(changes)
    assert not refused(plan([SPEC], {}, {"lane": 172800000}))


@given(
    partitions=st.integers(1, 9),
    retention=st.integers(-1, 10**12),
    bytes_=st.integers(-1, 10**12),
    wanted=st.integers(-1, 10**12),
)
def test_whatever_kafka_has_apply_neither_shrinks_nor_repeats_itself(
    partitions: int, retention: int, bytes_: int, wanted: int
) -> None:
    spec = TopicSpec("lane", 4, 1, {"retention.ms": str(wanted), "retention.bytes": "-1"})
    before = {"retention.ms": str(retention), "retention.bytes": str(bytes_)}
    changes = plan([spec], {"lane": Existing(partitions, 1, before)}, {})
    after = dict(before)
    grown = partitions
    for change in changes:
        if change.action is Action.SET:
            after[change.setting] = change.wanted
        if change.action is Action.GROW:
            grown = int(change.wanted)
    unlimited = float("inf")
    for name, value in after.items():
        low, high = (float(v) if v != "-1" else unlimited for v in (before[name], value))
        assert high >= low
    assert grown >= partitions
    assert not pending(plan([spec], {"lane": Existing(grown, 1, after)}, {}))
