"""Error answers as OpenAI words them: one row a status, and the codes that change a row.

Source: OpenAI's guide to error codes and recorded answers; 529 is Anthropic's `overloaded_error`.
"""

from typing import NamedTuple

import orjson


class ErrorWords(NamedTuple):
    """What stands in an error object."""

    type: str
    code: str | None
    message: str
    param: str | None = None


STATUSES: dict[int, ErrorWords] = {
    400: ErrorWords("invalid_request_error", None, "The request could not be understood."),
    401: ErrorWords("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    402: ErrorWords("billing_error", "insufficient_balance", "Payment is required."),
    403: ErrorWords("permission_error", "model_not_allowed", "This key may not use the model."),
    404: ErrorWords(
        "invalid_request_error", "model_not_found", "The model does not exist.", "model"
    ),
    408: ErrorWords("timeout_error", "request_timeout", "The request took too long."),
    409: ErrorWords("conflict_error", "lock_timeout", "The resource is locked by another call."),
    413: ErrorWords("invalid_request_error", "request_too_large", "The request is too large."),
    422: ErrorWords("invalid_request_error", "unprocessable_entity", "A value is not acceptable."),
    425: ErrorWords("invalid_request_error", "too_early", "The request came too early."),
    429: ErrorWords("requests", "rate_limit_exceeded", "Rate limit reached for requests."),
    500: ErrorWords("server_error", "internal_error", "The server had an error."),
    502: ErrorWords("server_error", "bad_gateway", "The gateway got no valid answer."),
    503: ErrorWords("server_error", "service_unavailable", "The service is unavailable."),
    504: ErrorWords("server_error", "gateway_timeout", "The gateway waited too long."),
    529: ErrorWords("overloaded_error", "overloaded", "The service is overloaded."),
}

CODES: dict[str, ErrorWords] = {
    "billing_hard_limit_reached": ErrorWords(
        "insufficient_quota", "billing_hard_limit_reached", "The billing hard limit was reached."
    ),
    "content_policy_violation": ErrorWords(
        "invalid_request_error", "content_policy_violation", "The prompt violates the policy."
    ),
    "context_length_exceeded": ErrorWords(
        "invalid_request_error",
        "context_length_exceeded",
        "This model's context is shorter than the messages.",
        "messages",
    ),
    "insufficient_quota": ErrorWords(
        "insufficient_quota", "insufficient_quota", "The quota of this account is used up."
    ),
    "slow_down": ErrorWords("server_error", "slow_down", "Reduce the rate of requests."),
    "tokens_exceeded": ErrorWords(
        "tokens", "rate_limit_exceeded", "Rate limit reached for tokens."
    ),
}

REASONS = {
    100: "Continue",
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    409: "Conflict",
    413: "Content Too Large",
    422: "Unprocessable Content",
    425: "Too Early",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    529: "Overloaded",
}


def error_words(status: int, code: str = "") -> ErrorWords:
    """The error of `status`; a known `code` brings its own words, any other replaces the code."""
    if code in CODES:
        return CODES[code]
    words = STATUSES[status]
    return words._replace(code=code) if code else words


def error_body(words: ErrorWords, message: str = "") -> bytes:
    """`{"error": {message, type, param, code}}`; `message` replaces the row's own."""
    return orjson.dumps(
        {
            "error": {
                "message": message or words.message,
                "type": words.type,
                "param": words.param,
                "code": words.code,
            }
        }
    )
