"""Records on `settings`: versions, and what is left when Kafka has compacted them."""

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas import settings
from headrace.schemas.settings import (
    FOREVER_MS,
    Breaker,
    Limit,
    Pause,
    Scope,
    Setting,
    Settings,
    Took,
    Verb,
)

T0 = 1_800_000_000_000


def pause(version: int, verb: Verb = Verb.PAUSE, name: str = "acme", **more: int) -> Pause:
    return Pause(version=version, verb=verb, scope=Scope.TENANT, name=name, reason="upkeep", **more)


def take(table: Settings, setting: Setting, nonce: str, at_ms: int = T0) -> Took:
    return table.take(settings.key_of(setting, nonce), settings.encode(setting), at_ms)


def test_of_two_operators_who_saw_the_same_the_first_one_counts() -> None:
    table = Settings()
    assert take(table, pause(1), "a") is Took.COUNTS
    assert take(table, pause(1, Verb.DRAIN), "b") is Took.STALE
    assert take(table, pause(2, Verb.RESUME), "b") is Took.COUNTS
    assert take(table, pause(2, Verb.DRAIN), "c") is Took.STALE
    assert table.pauses(T0) == []
    assert table.version("pause/tenant/acme") == 2


def test_a_setting_lasts_from_the_time_at_which_the_broker_took_it() -> None:
    table = Settings()
    take(table, pause(1, at_ms=5, until_ms=1_005), "a", T0)
    assert [one.at_ms for one in table.pauses(T0 + 999)] == [T0]
    assert table.pauses(T0 + 1_000) == []
    assert table.next_end_ms(T0) == T0 + 1_000
    assert table.next_end_ms(T0 + 1_000) == FOREVER_MS


def test_a_setting_that_was_deleted_is_over_and_others_are_not() -> None:
    table = Settings()
    take(table, pause(1), "a")
    take(table, pause(1), "b")
    assert table.take(b"pause/tenant/acme/1/b", None, T0) is Took.DELETED
    assert table.pauses(T0)
    assert table.take(b"pause/tenant/acme/1/a", None, T0) is Took.ENDED
    assert table.pauses(T0) == []


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"\xff", b"{}", b"[]", b"null"),
        settings.encode(pause(1)).replace(b'"version":1', b'"version":0'),
        settings.encode(pause(1)).replace(b'"tenant"', b'"galaxy"'),
        settings.encode(pause(1, name="x" * 600)),
        b'{"kind":"limit","scope":"east","version":1,"requests_per_minute":0}',
        b'{"kind":"limit","scope":"east","version":1,"reason":"' + b"x" * 20_000 + b'"}',
    ],
)
def test_what_is_no_setting_changes_nothing(value: bytes) -> None:
    table = Settings()
    assert table.take(b"pause/tenant/acme/1/a", value, T0) is Took.UNREADABLE
    assert list(table.all()) == []


def test_a_record_under_a_key_of_another_place_is_none() -> None:
    table = Settings()
    value = settings.encode(pause(1))
    for key in (None, b"", b"pause/tenant/acm", b"pause/lane/acme/1/a", b"limit/acme/1/a"):
        assert table.take(key, value, T0) is Took.UNREADABLE


def test_a_name_may_hold_anything_that_a_deployments_may() -> None:
    table = Settings()
    odd = Limit(version=1, scope='pool a/b "c"/1', tokens_per_minute=7)
    assert take(table, odd, "n") is Took.COUNTS
    assert table.take(settings.key_of(odd, "n"), None, T0) is Took.ENDED


def test_limits_and_breakers_are_told_until_they_are_taken_back() -> None:
    table = Settings()
    take(table, Limit(version=1, scope="east", requests_per_minute=5), "a")
    take(table, Breaker(version=1, deployment="east", state=None), "a")
    assert table.limits(T0)["east"].rates() == {"requests_per_minute": 5}
    assert {name: one.state for name, one in table.breakers(T0).items()} == {"east": None}
    take(table, Limit(version=2, scope="east"), "b")
    assert table.limits(T0) == {}


VERSIONS = st.lists(st.tuples(st.integers(1, 4), st.sampled_from(Verb)), min_size=1, max_size=12)


@given(VERSIONS, st.data())
def test_whoever_comes_after_a_compaction_knows_what_all_others_know(
    written: list[tuple[int, Verb]], data: st.DataObject
) -> None:
    """Compaction leaves some of the deleted records, and everything that was not deleted."""
    nonces = count()
    log: list[tuple[bytes, bytes | None, int]] = []
    live = Settings()
    known: set[bytes] = set()
    for stamp_ms, (version, verb) in enumerate(written, T0):
        setting = pause(version, verb)
        key = settings.key_of(setting, f"n{next(nonces)}")
        log.append((key, settings.encode(setting), stamp_ms))
        known.add(key)
        if live.take(*log[-1]) is Took.COUNTS and data.draw(st.booleans()):
            log += [(old, None, stamp_ms) for old in sorted(known - {key})]
            known = {key}
    deleted = {key for key, value, _ in log if value is None}
    gone = data.draw(st.sets(st.sampled_from(sorted(deleted)))) if deleted else set()
    late = Settings()
    for record in log:
        if record[0] not in gone:
            late.take(*record)
    assert list(late.all()) == list(live.all())
