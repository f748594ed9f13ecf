"""What has to change so that the topics are as they should be; pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from headrace.schemas.topics import TopicSpec

RETENTION = "retention.ms"
MIN_INSYNC = "min.insync.replicas"
UNLIMITED = -1

# More of these is safe; less drops records, or strands those that are there already.
NEVER_LOWERED = frozenset({RETENTION, "retention.bytes", "max.message.bytes"})


class Action(StrEnum):
    """What happens to a difference; `CREATE GROW SET` are done by apply."""

    CREATE = "create"
    GROW = "grow"
    SET = "set"
    KEEP = "keep"
    """Different, and left as it is: the change would destroy or shrink."""
    REFUSE = "refuse"
    """Wrong as configured: nothing at all is applied."""


PENDING = frozenset({Action.CREATE, Action.GROW, Action.SET})


@dataclass(frozen=True)
class Existing:
    """A topic as Kafka has it; `config` holds effective values, defaults included."""

    partitions: int
    replication: int
    config: Mapping[str, str]


@dataclass(frozen=True)
class Change:
    """One difference. `setting` is a topic setting, `partitions` or `replication`."""

    action: Action
    topic: str
    setting: str
    current: str | None
    wanted: str
    note: str = ""


def plan(
    specs: Iterable[TopicSpec],
    existing: Mapping[str, Existing],
    must_outlast_ms: Mapping[str, int],
) -> tuple[Change, ...]:
    """All differences, in the order of `specs`; none when everything is as it should be.

    `must_outlast_ms`: topic -> the least retention it may be given. A request must not be
    deleted before its deadline, and its dead letter, journal and retries need a day more.
    """
    changes: list[Change] = []
    for spec in specs:
        if refused := _too_short(spec, must_outlast_ms.get(spec.name, 0)):
            changes.append(refused)
        elif (now := existing.get(spec.name)) is None:
            changes.append(_create(spec))
        else:
            changes += _differences(spec, now)
    return tuple(changes)


def pending(changes: Iterable[Change]) -> bool:
    """Whether `apply` would change anything."""
    return any(change.action in PENDING for change in changes)


def refused(changes: Iterable[Change]) -> bool:
    """Whether `apply` must not start."""
    return any(change.action is Action.REFUSE for change in changes)


def _too_short(spec: TopicSpec, least_ms: int) -> Change | None:
    wanted = int(spec.config.get(RETENTION, UNLIMITED))
    if wanted == UNLIMITED or wanted >= least_ms:
        return None
    note = f"shorter than the longest deadline + 24 h ({least_ms} ms)"
    return Change(Action.REFUSE, spec.name, RETENTION, None, str(wanted), note)


def _create(spec: TopicSpec) -> Change:
    wanted = f"{spec.partitions} x {spec.replication}"
    return Change(Action.CREATE, spec.name, "partitions", None, wanted)


def _differences(spec: TopicSpec, now: Existing) -> Iterator[Change]:
    if now.partitions < spec.partitions:
        yield _change(Action.GROW, spec, "partitions", now.partitions, spec.partitions)
    elif now.partitions > spec.partitions:
        note = "partitions cannot be taken away"
        yield _change(Action.KEEP, spec, "partitions", now.partitions, spec.partitions, note)
    if now.replication != spec.replication:
        note = "needs a reassignment of replicas, which is the operator's decision"
        yield _change(Action.KEEP, spec, "replication", now.replication, spec.replication, note)
    for setting, wanted in spec.config.items():
        current = now.config.get(setting)
        if setting == MIN_INSYNC and int(wanted) > now.replication:
            note = "more than the topic has replicas: nothing could be written"
            yield _change(Action.KEEP, spec, setting, current, wanted, note)
        elif current != wanted:
            yield _setting(spec, setting, current, wanted)


def _setting(spec: TopicSpec, setting: str, current: str | None, wanted: str) -> Change:
    if setting == "cleanup.policy" and current is not None:
        note = "another policy deletes records: decide by hand"
        return _change(Action.KEEP, spec, setting, current, wanted, note)
    if setting in NEVER_LOWERED and current is not None and _less(wanted, current):
        note = "a lower value could drop records: decide by hand"
        return _change(Action.KEEP, spec, setting, current, wanted, note)
    return _change(Action.SET, spec, setting, current, wanted)


def _less(wanted: str, current: str) -> bool:
    """-1 means unlimited, so it is the largest."""
    if int(wanted) == UNLIMITED:
        return False
    return int(current) == UNLIMITED or int(wanted) < int(current)


def _change(
    action: Action,
    spec: TopicSpec,
    setting: str,
    current: object,
    wanted: object,
    note: str = "",
) -> Change:
    shown = None if current is None else str(current)
    return Change(action, spec.name, setting, shown, str(wanted), note)
