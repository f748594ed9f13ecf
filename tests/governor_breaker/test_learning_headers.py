"""What answers tell of limits, in the forms that providers use."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.dispatcher.governor.learning.headers import Dimension, Told, Window, read

NOW_MS = 1_800_000_000_000
NOW_S = NOW_MS // 1000
DAY_MS = 86_400_000
IN_20_S = datetime.fromtimestamp(NOW_S + 20, UTC)


def window(**headers: str) -> Window:
    """The only window that these headers tell of."""
    (found,) = read(
        {name.replace("_", "-"): said for name, said in headers.items()}, NOW_MS
    ).windows
    return found


def test_openais_headers() -> None:
    told = read(
        {
            "x-ratelimit-limit-requests": "60",
            "x-ratelimit-limit-tokens": "150000",
            "x-ratelimit-remaining-requests": "59",
            "x-ratelimit-remaining-tokens": "149984",
            "x-ratelimit-reset-requests": "1s",
            "x-ratelimit-reset-tokens": "6m0s",
            "content-type": "application/json",
        },
        NOW_MS,
    )
    assert told.windows == (
        Window(Dimension.REQUESTS, None, 60, 59, 1_000),
        Window(Dimension.TOKENS, None, 150_000, 149_984, 360_000),
    )


def test_anthropics_headers() -> None:
    at = IN_20_S.isoformat().replace("+00:00", "Z")
    told = read(
        {
            "anthropic-ratelimit-requests-limit": "50",
            "anthropic-ratelimit-requests-remaining": "0",
            "anthropic-ratelimit-requests-reset": at,
            "anthropic-ratelimit-input-tokens-limit": "20000",
            "anthropic-ratelimit-output-tokens-remaining": "8000",
            "retry-after": "20",
        },
        NOW_MS,
    )
    assert set(told.windows) == {
        Window(Dimension.REQUESTS, None, 50, 0, 20_000),
        Window(Dimension.INPUT_TOKENS, limit=20_000),
        Window(Dimension.OUTPUT_TOKENS, remaining=8_000),
    }
    assert told.retry_ms == 20_000


@pytest.mark.parametrize(
    ("said", "reset_ms"),
    [
        ("1s", 1_000),
        ("6m0s", 360_000),
        ("120ms", 120),
        ("1h2m3.5s", 3_723_500),
        ("2m59.56s", 179_560),
        ("20", 20_000),
        ("0.25", 250),
        (str(NOW_S + 20), 20_000),
        (str(NOW_MS + 20_000), 20_000),
        (str(NOW_S - 20), 0),
        (IN_20_S.isoformat(), 20_000),
        ("9999999999999999", DAY_MS),
    ],
)
def test_resets_are_read_in_every_form_seen(said: str, reset_ms: int) -> None:
    assert window(x_ratelimit_reset_requests=said).reset_ms == reset_ms


@pytest.mark.parametrize("said", ["", "soon", "-5", "1e9", "nan", "٣", "5 s", "9" * 5_000])
def test_what_cannot_be_read_is_left_out(said: str) -> None:
    assert read({"x-ratelimit-reset-requests": said}, NOW_MS) == Told()


def test_a_name_without_a_dimension_speaks_of_requests() -> None:
    found = window(x_ratelimit_limit="100, 100;w=60", x_ratelimit_remaining="7")
    assert found == Window(Dimension.REQUESTS, None, 100, 7)


def test_a_name_may_tell_the_length_of_its_window() -> None:
    found = window(x_ratelimit_limit_tokens_minute="60000")
    assert found == Window(Dimension.TOKENS, 60_000, 60_000)
    assert found.lasts(60_000)
    assert not found.lasts(DAY_MS)


def test_what_is_spent_and_when_it_comes_back_tell_the_length() -> None:
    minute = Window(Dimension.REQUESTS, None, 60, 59, 1_000)
    day = Window(Dimension.REQUESTS, None, 14_400, 14_370, 179_560)
    assert minute.lasts(60_000)
    assert day.lasts(DAY_MS)
    assert not day.lasts(60_000)


def test_a_length_that_is_not_told_is_none() -> None:
    assert not Window(Dimension.REQUESTS, None, 60, 60, 0).lasts(60_000)
    assert not Window(Dimension.REQUESTS, None, 60).lasts(60_000)
    assert not Window(Dimension.REQUESTS, None, 0, 0, 1_000).lasts(60_000)


def test_only_a_window_of_the_right_length_tells_a_limit() -> None:
    told = read(
        {
            "x-ratelimit-limit-requests-day": "14400",
            "x-ratelimit-limit-requests-minute": "30",
            "x-ratelimit-limit-tokens-minute": "0",
        },
        NOW_MS,
    )
    assert told.limit(Dimension.REQUESTS, 60_000) == 30
    assert told.limit(Dimension.REQUESTS, DAY_MS) == 14_400
    assert told.limit(Dimension.TOKENS, 60_000) is None


def test_unknown_words_are_not_guessed_at() -> None:
    names = ("x-ratelimit-limit-images", "x-ratelimit-used", "anthropic-ratelimit-unified-reset")
    assert read(dict.fromkeys(names, "5"), NOW_MS) == Told()


words = st.sampled_from(
    ["limit", "reset", "remaining", "tokens", "requests", "day", "input", "x", ""]
)


@given(
    st.dictionaries(
        st.lists(words, max_size=4).map(lambda parts: "x-ratelimit-" + "-".join(parts)),
        st.text(max_size=20) | st.from_regex(r"[0-9.:smhdTZ+-]{0,12}"),
        max_size=5,
    )
)
def test_no_headers_make_reading_fail(headers: dict[str, str]) -> None:
    for found in read(headers, NOW_MS).windows:
        assert found.reset_ms is None or 0 <= found.reset_ms <= DAY_MS
        found.lasts(60_000)
