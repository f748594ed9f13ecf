"""Headers that ask for another treatment: each is read in all its forms, or refused by its name."""

import pytest

from headrace.ingress import manner
from headrace.ingress.manner import Manner
from headrace.ingress.refusal import Refusal
from headrace.schemas.errors import Code
from headrace.schemas.names import Ambiguous, Kind

NOW_MS = 1_800_000_000_000
DEADLINE_MS = NOW_MS + 60_000


def read(**headers: str) -> Manner | Refusal:
    named = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return manner.read(named, NOW_MS, DEADLINE_MS)


def test_without_wishes_a_request_is_plain() -> None:
    assert read() == Manner()
    assert read(headrace_resume="false", prefer="wait=5") == Manner()


@pytest.mark.parametrize(
    "prefer",
    ["respond-async", "Respond-Async, wait=10", "wait=10, respond-async", "respond-async;x=1"],
)
def test_a_preferred_late_response_makes_a_job_even_of_a_resumable_request(prefer: str) -> None:
    assert read(prefer=prefer, headrace_resume="true") == Manner(Kind.JOB)


def test_a_resumable_request_says_so() -> None:
    assert read(headrace_resume="true") == Manner(Kind.RESUMABLE)


def test_an_idempotency_key_makes_a_keyed_request_or_a_job_with_a_key() -> None:
    assert read(idempotency_key=" k1 ") == Manner(Kind.KEYED, key="k1")
    assert read(idempotency_key="k1", headrace_resume="true") == Manner(Kind.KEYED, key="k1")
    assert read(idempotency_key="k1", prefer="respond-async") == Manner(Kind.JOB, key="k1")


@pytest.mark.parametrize(
    ("header", "value", "due_in_ms"),
    [
        ("headrace_delay", "5", 5_000),
        ("headrace_delay", "0.25", 250),
        ("headrace_not_before", str(NOW_MS + 1), 1),
        ("headrace_not_before", "2027-01-15T08:00:05Z", 5_000),
        ("headrace_not_before", "2027-01-15T09:00:05.5+01:00", 5_500),
    ],
)
def test_a_time_may_be_told_in_each_form(header: str, value: str, due_in_ms: int) -> None:
    assert read(**{header: value}) == Manner(None, NOW_MS + due_in_ms)


@pytest.mark.parametrize(
    ("header", "value"), [("headrace_delay", "0"), ("headrace_not_before", "1")]
)
def test_a_time_that_has_passed_is_now(header: str, value: str) -> None:
    assert read(**{header: value}) == Manner()


@pytest.mark.parametrize("word", list(Ambiguous))
def test_what_becomes_of_a_call_that_a_crash_cuts_short_may_be_told(word: Ambiguous) -> None:
    assert read(headrace_ambiguous=f" {word.upper()}") == Manner(ambiguous=word)
    keyed = read(headrace_ambiguous=word, idempotency_key="k1")
    assert keyed == Manner(Kind.KEYED, key="k1", ambiguous=word)


BAD = [
    ({"idempotency_key": ""}, Code.INVALID_HEADER, "idempotency-key"),
    ({"idempotency_key": "k" * 256}, Code.INVALID_HEADER, "idempotency-key"),
    ({"idempotency_key": "a\tb"}, Code.INVALID_HEADER, "idempotency-key"),
    ({"headrace_resume": "yes"}, Code.INVALID_HEADER, "headrace-resume"),
    ({"headrace_ambiguous": "never"}, Code.INVALID_HEADER, "headrace-ambiguous"),
    ({"headrace_ambiguous": ""}, Code.INVALID_HEADER, "headrace-ambiguous"),
    ({"headrace_delay": "-1"}, Code.INVALID_NOT_BEFORE, "headrace-delay"),
    ({"headrace_delay": "1e9"}, Code.INVALID_NOT_BEFORE, "headrace-delay"),
    ({"headrace_delay": ""}, Code.INVALID_NOT_BEFORE, "headrace-delay"),
    ({"headrace_delay": "60"}, Code.INVALID_NOT_BEFORE, "headrace-delay"),
    ({"headrace_not_before": "tomorrow"}, Code.INVALID_NOT_BEFORE, "headrace-not-before"),
    ({"headrace_not_before": "2027-01-15"}, Code.INVALID_NOT_BEFORE, "headrace-not-before"),
    ({"headrace_not_before": "2027-01-15T08:00:05"}, Code.INVALID_NOT_BEFORE, "headrace-not-before"),
    ({"headrace_not_before": "9" * 40}, Code.INVALID_NOT_BEFORE, "headrace-not-before"),
    ({"headrace_not_before": str(DEADLINE_MS)}, Code.INVALID_NOT_BEFORE, "headrace-not-before"),
    (
        {"headrace_not_before": str(NOW_MS + 1), "headrace_delay": "1"},
        Code.INVALID_NOT_BEFORE,
        "headrace-not-before",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("headers", "code", "param"), BAD)
def test_what_cannot_be_is_refused_by_name(headers: dict[str, str], code: Code, param: str) -> None:
    refusal = read(**headers)
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.param) == (code, param)
