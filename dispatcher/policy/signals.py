"""What the end of a call says about trying again: the one classifier of the system.

The table is the providers' own guides and the official clients' retry rules: 408, 409 (locks), 425
and 5xx pass by themselves, 429 and 529 ask to wait, 401, 402, 403 and the billing 429s speak of the
credential, every other 4xx of the request. `x-should-retry` overrides it, as the clients do.
"""

from enum import StrEnum
from typing import Final

from headrace.dispatcher.policy.error_object import (
    CREDENTIAL_CODES,
    LOCK_CODES,
    OVERLOAD_CODES,
    QUOTA_CODES,
    ErrorWords,
    read_body,
    read_object,
)
from headrace.dispatcher.ports import Break, CallEnd


class Signal(StrEnum):
    """The classes of ends; the values are the reasons of `headrace_retries_total`."""

    COMPLETE = "complete"
    NOT_SENT = "not_sent"
    """The upstream did nothing."""
    AMBIGUOUS = "ambiguous"
    """Sent, nothing came back: it may have run, and been paid for."""
    PARTIAL = "partial"
    """An answer that began and did not end."""
    TRANSIENT = "transient"
    THROTTLE = "throttle"
    QUOTA = "quota"
    """Throttled until a reset that may be hours away."""
    CREDENTIAL = "credential"
    """Terminal for this deployment's key or account."""
    TERMINAL = "terminal"
    """It is the request's answer."""
    TOO_LARGE = "too_large"
    CUT = "cut"
    """By us: it says nothing of the upstream."""


_BREAKS: Final = {
    Break.NOT_SENT: Signal.NOT_SENT,
    Break.NO_ANSWER: Signal.AMBIGUOUS,
    Break.FIRST_BYTE_TIMEOUT: Signal.TRANSIENT,
    Break.STALL: Signal.TRANSIENT,
    Break.TOTAL_TIMEOUT: Signal.TRANSIENT,
    Break.STREAM_BROKEN: Signal.PARTIAL,
    Break.TOO_LARGE: Signal.TOO_LARGE,
    Break.SEAT_LOST: Signal.CUT,
}
_STATUSES: Final = {
    401: Signal.CREDENTIAL,
    402: Signal.CREDENTIAL,
    403: Signal.CREDENTIAL,
    408: Signal.TRANSIENT,
    425: Signal.TRANSIENT,
    501: Signal.TERMINAL,
    505: Signal.TERMINAL,
    529: Signal.THROTTLE,
}
_REFUSED: Final = frozenset({Signal.TERMINAL, Signal.CREDENTIAL})
_REPEATABLE: Final = frozenset({Signal.TRANSIENT, Signal.THROTTLE, Signal.QUOTA})


def classify(end: CallEnd) -> Signal:
    """The class of a call's end."""
    if end.broken is not None:
        return _BREAKS[end.broken]
    if 200 <= end.status < 300:
        return Signal.COMPLETE
    signal = _by_status(end.status, words_of(end))
    advice = end.headers.get("x-should-retry")
    if advice == "true" and signal in _REFUSED:
        return Signal.TRANSIENT
    if advice == "false" and signal in _REPEATABLE:
        return Signal.TERMINAL
    return signal


def words_of(end: CallEnd) -> ErrorWords:
    """The words of the error that a call ended with; empty ones for an answer that is none."""
    if end.stream_error:
        return read_object(end.stream_error)
    if end.broken is not None or 200 <= end.status < 300:
        return ErrorWords()
    return read_body(end.body)


def code_of(end: CallEnd) -> str:
    """A short code for logs and histories: ours for a broken call, else the upstream's; no text."""
    if end.broken is not None:
        return end.broken.value
    words = words_of(end)
    return words.code or words.type


def _by_status(status: int, words: ErrorWords) -> Signal:
    if status == 429:
        return _of_429(words)
    if status == 409:
        return Signal.TRANSIENT if words.among(LOCK_CODES) else Signal.TERMINAL
    if status == 503 and (words.among(OVERLOAD_CODES) or "overloaded" in words.message):
        return Signal.THROTTLE
    if status in _STATUSES:
        return _STATUSES[status]
    if status >= 500:
        return Signal.THROTTLE if words.among(OVERLOAD_CODES) else Signal.TRANSIENT
    return Signal.TERMINAL


def _of_429(words: ErrorWords) -> Signal:
    if words.among(CREDENTIAL_CODES):
        return Signal.CREDENTIAL
    if words.among(QUOTA_CODES) or "per day" in words.message:
        return Signal.QUOTA
    return Signal.THROTTLE
