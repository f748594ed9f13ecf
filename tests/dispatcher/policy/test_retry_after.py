"""How long an upstream asks to wait."""

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.dispatcher.policy.retry_after import LONGEST_MS, read, read_reset

NOW_MS = 1_790_000_000_500


@pytest.mark.parametrize(
    ("headers", "wait_ms"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7_000),
        ({"retry-after": " 7 "}, 7_000),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "0.0301"}, 31),
        ({"retry-after-ms": "250"}, 250),
        ({"retry-after-ms": "0.5"}, 1),
        ({"retry-after-ms": "250", "retry-after": "9"}, 250),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9_000),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "1000000000"}, LONGEST_MS),
        ({"retry-after": "9" * 300}, LONGEST_MS),
        ({"retry-after": "9" * 5_000}, None),
        ({"retry-after": "1e3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Wed, 99 Foo 2026 00:00:00 GMT"}, None),
    ],
)
def test_a_wait_is_read(headers: dict[str, str], wait_ms: int | None) -> None:
    assert read(headers, NOW_MS) == wait_ms


def test_a_date_is_a_wait_from_now() -> None:
    at = formatdate(NOW_MS // 1000 + 30, usegmt=True)
    assert read({"retry-after": at}, NOW_MS) == 29_500


def test_a_date_without_a_zone_is_utc() -> None:
    at = formatdate(NOW_MS // 1000 + 30).replace("-0000", "").strip()
    assert read({"retry-after": at}, NOW_MS) == 29_500


def test_a_past_date_is_no_wait() -> None:
    assert read({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, NOW_MS) == 0


def test_a_far_date_is_held_to_a_day() -> None:
    assert read({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, NOW_MS) == LONGEST_MS


@given(text=st.text(max_size=80), unit=st.sampled_from(["retry-after", "retry-after-ms"]))
def test_reading_never_raises_and_stays_within_a_day(text: str, unit: str) -> None:
    wait_ms = read({unit: text}, NOW_MS)
    assert wait_ms is None or 0 <= wait_ms <= LONGEST_MS


@given(
    st.from_regex(r"[A-Z][a-z]{2}, [0-9]{1,4} [A-Z][a-z]{2} -?[0-9]{1,6} [0-9:]{1,10} [-+A-Z0-9]*")
)
def test_odd_dates_never_raise(text: str) -> None:
    wait_ms = read({"retry-after": text}, NOW_MS)
    assert wait_ms is None or 0 <= wait_ms <= LONGEST_MS


@pytest.mark.parametrize(
    ("reset", "wait_ms"),
    [
        ("6m0s", 360_000),
        ("8.64s", 8_640),
        ("20ms", 20),
        ("1d2h", 93_600_000),
        ("400d", LONGEST_MS),
        ("1h30m15s", 5_415_000),
        ("", None),
        ("soon", None),
        ("12", None),
        ("2026-09-21T14:13:30Z", 10_000),
        ("2026-09-21T14:13:10Z", 0),
        ("9999-12-31T23:59:59+00:00", LONGEST_MS),
    ],
)
def test_a_spent_limit_tells_when_it_is_filled_up(reset: str, wait_ms: int | None) -> None:
    headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": reset}
    expected = min(wait_ms, LONGEST_MS) if wait_ms is not None else None
    assert read_reset(headers, 1_790_000_000_000) == expected


def test_the_last_of_the_spent_limits_counts_and_no_other() -> None:
    headers = {
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": "2026-09-21T14:13:25Z",
        "anthropic-ratelimit-tokens-remaining": "0",
        "anthropic-ratelimit-tokens-reset": "2026-09-21T14:13:27Z",
        "x-ratelimit-remaining-images": "4",
        "x-ratelimit-reset-images": "3h",
    }
    assert read_reset(headers, 1_790_000_000_000) == 7_000


@given(st.text(max_size=40))
def test_no_reset_header_raises(said: str) -> None:
    headers = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": said}
    wait_ms = read_reset(headers, 1_790_000_000_000)
    assert wait_ms is None or 0 <= wait_ms <= LONGEST_MS
