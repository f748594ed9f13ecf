"""What the ends of calls tell of limits, as it is told to the governor."""

from collections.abc import Mapping

import msgspec

from headrace.dispatcher.overheard import LOOK_MS, TOLD_MS, Overheard
from headrace.dispatcher.ports import Break, CallEnd
from headrace.schemas.names import DeploymentName, RequestId
from headrace.schemas.tellings import (
    MOST_REFUSALS,
    Answered,
    Dimension,
    Kind,
    Refused,
    Telling,
    Window,
    decode,
    encode,
)

D = DeploymentName("d")
NOW_MS = 1_800_000_000_000
HEADERS = {"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "0"}
WINDOW = Window(Dimension.REQUESTS, None, 60, 0)


def end(
    heard: Overheard,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    *,
    at_ms: int = 1_000,
    body: bytes = b"",
    broken: Break | None = None,
) -> None:
    """A call of 400 ms ends at `at_ms`."""
    heard.ended(
        D,
        RequestId("a"),
        CallEnd(status=status, headers=headers or {}, body=body, broken=broken),
        began_ms=at_ms - 400,
        mono_ms=at_ms,
        now_ms=NOW_MS,
    )


def only(heard: Overheard, at_ms: int) -> Telling:
    """All that is told, of one deployment, as the governor reads it."""
    told = decode(encode(heard.tell(at_ms)))
    assert told is not None
    (telling,) = told
    return telling


def test_an_answer_that_tells_nothing_leaves_nothing() -> None:
    heard = Overheard()
    end(heard)
    end(heard, headers={"openai-version": "1"})
    end(heard, 500)
    end(heard, 0, broken=Break.NOT_SENT)
    assert heard.tell(1_000) == []


def test_headers_are_told_until_they_are_old() -> None:
    heard = Overheard()
    end(heard, headers=HEADERS)
    told = only(heard, 1_300)
    assert told.windows == [WINDOW]
    assert heard.tell(1_001 + TOLD_MS) == []


def test_headers_are_read_a_few_times_a_second() -> None:
    heard = Overheard()
    end(heard, headers=HEADERS)
    later = {**HEADERS, "x-ratelimit-limit-requests": "50"}
    end(heard, headers=later, at_ms=999 + LOOK_MS)
    assert only(heard, 1_500).windows == [WINDOW]
    end(heard, headers=later, at_ms=1_000 + LOOK_MS)
    assert only(heard, 1_500).windows[0].limit == 50


def test_a_refusal_is_told_at_once_with_what_it_asks_and_what_is_spent() -> None:
    heard, stirred = Overheard(), []
    heard.stirred = lambda: stirred.append(True)
    end(heard, 429, {**HEADERS, "retry-after": "3"})
    assert heard.left_ms(1_000) == 0
    told = only(heard, 1_200)
    assert stirred == [True]
    assert heard.left_ms(1_500) == 700
    (refused,) = told.refusals
    who = refused.request
    assert refused == Refused(1, True, who, 600, 200, 3_000, [Dimension.REQUESTS])
    assert (told.limited, told.overloaded) == (1, 0)


def test_overloads_and_quotas_are_told_apart_from_limits_and_money() -> None:
    heard = Overheard()
    end(heard, 529)
    end(heard, 503, body=b'{"error": {"code": "slow_down"}}')
    end(
        heard,
        429,
        {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "2h"},
        body=b'{"error": {"code": "daily_limit_exceeded"}}',
    )
    end(heard, 429, body=b'{"error": {"code": "insufficient_quota"}}')
    end(heard, 503)
    told = only(heard, 1_000)
    assert (told.limited, told.overloaded) == (0, 3)
    assert [one.asked_ms for one in told.refusals] == [None, None, 7_200_000]


def test_of_many_refusals_the_newest_are_told_and_all_are_counted() -> None:
    heard = Overheard()
    for _ in range(100):
        end(heard, 429)
    told = only(heard, 1_000)
    assert told.limited == 100
    assert [one.number for one in told.refusals] == list(range(101 - MOST_REFUSALS, 101))


def answered(
    heard: Overheard, at_ms: int, *, first_s: float | None = None, broken: Break | None = None
) -> None:
    """A call of 1,000 ms and, if it is no stream, 34 tokens ends."""
    body = b'{"usage": {"prompt_tokens": 8, "completion_tokens": 34}}' if first_s is None else b""
    end = CallEnd(status=200, body=body, first_s=first_s, broken=broken)
    heard.ended(D, RequestId("a"), end, began_ms=at_ms - 1_000, mono_ms=at_ms, now_ms=NOW_MS)


def test_latencies_are_told_as_sums_where_seats_are_learned() -> None:
    heard = Overheard([D])
    answered(heard, 10_000, first_s=0.3)
    answered(heard, 10_100, first_s=0.1)
    answered(heard, 10_200)
    answered(heard, 10_210)  # its tokens are not read so soon
    assert only(heard, 10_300).answers == [
        Answered(Kind.FIRST_BYTE, 2, 400.0, 100.0),
        Answered(Kind.ANSWER, 1, 20.0, 20.0),
    ]
    assert heard.tell(10_211 + TOLD_MS) == []
    plain = Overheard()
    answered(plain, 10_000, first_s=0.3)
    assert plain.tell(10_000) == []


def test_the_least_latency_is_of_the_last_seconds() -> None:
    heard = Overheard([D])
    answered(heard, 10_000, first_s=0.1)
    for at_ms, least_ms in ((11_500, 100.0), (12_600, 900.0)):
        answered(heard, at_ms, first_s=0.9)
        assert only(heard, at_ms).answers[0].least_ms == least_ms


def test_a_call_that_broke_is_no_quick_one_and_a_stream_that_did_not_begin_a_slow_one() -> None:
    heard = Overheard([D])
    answered(heard, 10_000, broken=Break.TOTAL_TIMEOUT)
    answered(heard, 10_000, first_s=0.01, broken=Break.NOT_SENT)
    assert heard.tell(10_000) == []
    answered(heard, 10_000, first_s=60.0, broken=Break.FIRST_BYTE_TIMEOUT)
    assert only(heard, 10_000).answers == [Answered(Kind.FIRST_BYTE, 1, 60_000.0, 60_000.0)]


def test_what_an_older_process_tells_is_read_and_a_newer_one_may_tell_more() -> None:
    told = Telling(D, 1, 2, answers=[Answered(Kind.ANSWER, 1, 20.0, 20.0)])
    whole = msgspec.json.decode(bytes(encode([told])))
    older, newer = [whole[0][:5]], [[*whole[0], "more"]]
    assert decode(msgspec.Raw(msgspec.json.encode(older))) == [Telling(D, 1, 2)]
    assert decode(msgspec.Raw(msgspec.json.encode(newer))) == [told]
