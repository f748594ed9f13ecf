"""The error object in an upstream's answer, as far as decisions need it.

Read in every form seen: OpenAI `{"error": {...}}`, Anthropic `{"type": "error", "error": {...}}`,
vLLM's and older servers' bare `{"code", "type", "message"}`, `{"error": "text"}`, and Google's list
of one. Anything else has no words: the status alone decides.
"""

import re
from typing import Final

import msgspec

MAX_READ_BYTES: Final = 65_536
"""A longer error body is not read: no known API sends one, and each failed call parses one."""

CREDENTIAL_CODES: Final = frozenset(
    {
        "account_deactivated",
        "billing_hard_limit_reached",
        "billing_not_active",
        "budget_exceeded",
        "credit_balance_exhausted",
        "insufficient_balance",
        "insufficient_quota",
        "payment_required",
        "spend_limit_exceeded",
    }
)
"""The account has no money left: waiting does not help."""
OVERLOAD_CODES: Final = frozenset(
    {"engine_overloaded", "model_overloaded", "overloaded", "overloaded_error", "slow_down"}
)
LOCK_CODES: Final = frozenset({"conversation_locked", "lock_timeout", "locked", "resource_locked"})
QUOTA_CODES: Final = frozenset(
    {"daily_limit_exceeded", "daily_quota_exceeded", "quota_exceeded", "requests_per_day"}
)

_STATUS_OF: Final[dict[str, int]] = {
    "invalid_request_error": 400,
    "context_length_exceeded": 400,
    "content_policy_violation": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "timeout_error": 408,
    "request_too_large": 413,
    "unprocessable_entity": 422,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "requests": 429,
    "tokens": 429,
    "server_error": 500,
    "api_error": 500,
    "slow_down": 503,
    **dict.fromkeys(CREDENTIAL_CODES, 429),
    **dict.fromkeys(QUOTA_CODES, 429),
    **dict.fromkeys(OVERLOAD_CODES - {"slow_down"}, 529),
}


class ErrorWords(msgspec.Struct, frozen=True):
    """What an error object says, in lower case; code and type of at most 64 characters.

    `message` is for matching only: it can quote the prompt, so it is never logged or kept.
    """

    code: str = ""
    type: str = ""
    message: str = ""

    def among(self, codes: frozenset[str]) -> bool:
        """Whether the code or the type is one of `codes`."""
        return self.code in codes or self.type in codes


_Scalar = str | int | float | bool | None


class _Fields(msgspec.Struct):
    code: _Scalar = None
    type: _Scalar = None
    message: _Scalar = None
    status: _Scalar = None


class _Body(_Fields):
    error: _Fields | str | None = None


_decode = msgspec.json.Decoder(_Body | list[_Body]).decode
_decode_object = msgspec.json.Decoder(_Fields | str).decode
_UNSAFE: Final = re.compile(r"[^a-z0-9_.:-]")


def read_body(body: bytes) -> ErrorWords:
    """The words of an error answer's body; empty ones where it cannot be read. Never raises."""
    if len(body) > MAX_READ_BYTES:
        return ErrorWords()
    try:
        found = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ErrorWords()
    if isinstance(found, list):
        if not found:
            return ErrorWords()
        found = found[0]
    return _words(found if found.error is None else found.error)


def read_object(error: bytes) -> ErrorWords:
    """The words of the value of `error` in an event of a stream. Never raises."""
    try:
        return _words(_decode_object(error))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ErrorWords()


def status_for(words: ErrorWords) -> int:
    """The HTTP status that an error inside a 200 stream stands for; 500 where nothing tells."""
    if words.code.isdigit() and 400 <= int(words.code) <= 599:
        return int(words.code)
    return _STATUS_OF.get(words.code) or _STATUS_OF.get(words.type) or 500


def _words(found: _Fields | str) -> ErrorWords:
    if isinstance(found, str):
        return ErrorWords(message=found[:1024].lower())
    return ErrorWords(
        code=_token(found.code if found.code is not None else found.status),
        type=_token(found.type),
        message="" if found.message is None else str(found.message)[:1024].lower(),
    )


def _token(value: _Scalar) -> str:
    return "" if value is None else _UNSAFE.sub("_", str(value)[:64].lower())
