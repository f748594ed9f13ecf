"""The error catalogue: each error Headrace itself can answer with, in one table.

A code never changes its meaning. `status`, `openai_type` and `anthropic_type` are what the two client
libraries sort their exceptions by; `retryable` is sent as `x-should-retry`. docs/reference/errors.md
is generated from here.
"""

from enum import StrEnum

import msgspec

QUOTED_BYTES = 500
"""Of an answer that is no error in the API's shape."""


class Code(StrEnum):
    """Stable codes."""

    INVALID_JSON = "invalid_json"
    INVALID_REQUEST = "invalid_request"
    INVALID_CONTENT_TYPE = "invalid_content_type"
    INVALID_HEADER = "invalid_header"
    UNKNOWN_LANE = "unknown_lane"
    INVALID_DEADLINE = "invalid_deadline"
    INVALID_NOT_BEFORE = "invalid_not_before"
    MODEL_REQUIRED = "model_required"
    MODEL_NOT_FOUND = "model_not_found"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    RECORD_TOO_LARGE = "record_too_large"
    INVALID_API_KEY = "invalid_api_key"
    FORBIDDEN = "forbidden"
    QUEUE_FULL = "queue_full"
    KAFKA_UNAVAILABLE = "kafka_unavailable"
    KAFKA_TOPIC_MISSING = "kafka_topic_missing"
    KAFKA_ACL_DENIED = "kafka_acl_denied"
    NOT_READY = "not_ready"
    SHUTTING_DOWN = "shutting_down"
    WAIT_TOO_LONG = "wait_too_long"
    STILL_WAITING = "still_waiting"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    CANCELLED = "cancelled"
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    UNPROCESSABLE_RECORD = "unprocessable_record"
    RESPONSE_TOO_LARGE = "response_too_large"
    UPSTREAM_STREAM_BROKEN = "upstream_stream_broken"
    UPSTREAM_UNREACHABLE = "upstream_unreachable"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    UPSTREAM_UNAVAILABLE = "upstream_unavailable"
    REPLY_LOST = "reply_lost"
    CLIENT_TOO_SLOW = "client_too_slow"
    IDEMPOTENCY_MISMATCH = "idempotency_mismatch"
    AMBIGUOUS_CALL = "ambiguous_call"
    CRASHED_WORKER = "crashed_worker"
    INDEX_REBUILDING = "index_rebuilding"
    JOB_NOT_FOUND = "job_not_found"
    NOT_CANCELLABLE = "not_cancellable"
    REQUEST_EXCEEDS_LIMIT = "request_exceeds_limit"
    REQUEST_UNBOUNDED = "request_unbounded"
    PREDICTED_WAIT_EXCEEDS_DEADLINE = "predicted_wait_exceeds_deadline"
    INTERNAL = "internal_error"


class ErrorSpec(msgspec.Struct, frozen=True):
    """One row of the catalogue."""

    status: int
    openai_type: str
    anthropic_type: str
    retryable: bool
    what_to_do: str


def _bad(status: int, what_to_do: str) -> ErrorSpec:
    return ErrorSpec(status, "invalid_request_error", "invalid_request_error", False, what_to_do)


def _ours(status: int, what_to_do: str, *, retryable: bool = True) -> ErrorSpec:
    return ErrorSpec(status, "server_error", "api_error", retryable, what_to_do)


CATALOGUE: dict[Code, ErrorSpec] = {
    Code.INVALID_JSON: _bad(400, "Send a JSON object, UTF-8, nested at most 64 levels deep."),
    Code.INVALID_REQUEST: _bad(400, "Correct the field that the message names."),
    Code.INVALID_CONTENT_TYPE: _bad(415, "Send `content-type: application/json`."),
    Code.INVALID_HEADER: _bad(400, "Header values are printable text of at most 1 KiB."),
    Code.UNKNOWN_LANE: _bad(400, "Use one of the configured lanes."),
    Code.INVALID_DEADLINE: _bad(
        400, "A deadline lies in the future, at most the lane's longest ahead."
    ),
    Code.INVALID_NOT_BEFORE: _bad(
        400, "Send epoch milliseconds, RFC 3339 or a delay in seconds, before the deadline."
    ),
    Code.MODEL_REQUIRED: _bad(400, "Name a model in the body."),
    Code.MODEL_NOT_FOUND: ErrorSpec(
        404,
        "invalid_request_error",
        "not_found_error",
        False,
        "Use a name that GET /v1/models lists.",
    ),
    Code.NOT_FOUND: ErrorSpec(
        404,
        "invalid_request_error",
        "not_found_error",
        False,
        "Check the path against the API reference.",
    ),
    Code.METHOD_NOT_ALLOWED: _bad(405, "Use the method that the `allow` header names."),
    Code.RECORD_TOO_LARGE: ErrorSpec(
        413,
        "invalid_request_error",
        "request_too_large",
        False,
        "Make the body smaller than `max_body_bytes`.",
    ),
    Code.INVALID_API_KEY: ErrorSpec(
        401,
        "authentication_error",
        "authentication_error",
        False,
        "Send a valid key as `Authorization: Bearer`.",
    ),
    Code.FORBIDDEN: ErrorSpec(
        403,
        "permission_error",
        "permission_error",
        False,
        "Ask the operator to allow this model or lane for the tenant.",
    ),
    Code.QUEUE_FULL: ErrorSpec(
        429,
        "rate_limit_error",
        "rate_limit_error",
        True,
        "Wait as long as `Retry-After` says; more replicas raise the bound.",
    ),
    Code.KAFKA_UNAVAILABLE: _ours(503, "Wait as long as `Retry-After` says; nothing was accepted."),
    Code.KAFKA_TOPIC_MISSING: _ours(503, "The operator runs `headrace topics apply`."),
    Code.KAFKA_ACL_DENIED: _ours(503, "The operator grants this role its Kafka rights."),
    Code.NOT_READY: _ours(503, "Wait as long as `Retry-After` says."),
    Code.SHUTTING_DOWN: _ours(503, "Send the request to another replica."),
    Code.WAIT_TOO_LONG: _ours(
        504, "Ask with a longer deadline on a slower lane, or submit a job.", retryable=False
    ),
    Code.STILL_WAITING: _ours(
        503, "The request goes on; fetch its answer where `location` says.", retryable=False
    ),
    Code.DEADLINE_EXCEEDED: _ours(
        504, "The deadline passed first; allow more time or use a higher lane.", retryable=False
    ),
    Code.CANCELLED: ErrorSpec(
        499, "invalid_request_error", "api_error", False, "The request was cancelled by its owner."
    ),
    Code.ATTEMPTS_EXHAUSTED: _ours(
        502, "The upstream kept failing; the request is kept as a dead letter.", retryable=False
    ),
    Code.UNPROCESSABLE_RECORD: _bad(
        422, "The record cannot be read; see the dead letter's reason."
    ),
    Code.RESPONSE_TOO_LARGE: _ours(
        502, "The answer passed `dispatcher.max_answer_bytes`.", retryable=False
    ),
    Code.UPSTREAM_STREAM_BROKEN: _ours(
        502, "The stream ended early; what came is a true prefix. Ask again.", retryable=False
    ),
    Code.UPSTREAM_UNREACHABLE: _ours(502, "No connection to the upstream.", retryable=False),
    Code.UPSTREAM_TIMEOUT: _ours(504, "The upstream did not answer in time.", retryable=False),
    Code.UPSTREAM_UNAVAILABLE: _ours(
        503,
        "Ask again later, or with a longer deadline: it would wait until the model answers again.",
    ),
    Code.AMBIGUOUS_CALL: _ours(
        502,
        "The call may have reached the upstream before a crash; make sure before you ask again.",
        retryable=False,
    ),
    Code.CRASHED_WORKER: _ours(
        500,
        "The request ended the processes that took it; it is kept as a dead letter.",
        retryable=False,
    ),
    Code.REPLY_LOST: _ours(502, "A part of the answer could not be read back; ask again."),
    Code.CLIENT_TOO_SLOW: _ours(408, "Read the stream faster.", retryable=False),
    Code.IDEMPOTENCY_MISMATCH: _bad(
        422, "This idempotency key came with another body before; use a new key."
    ),
    Code.INDEX_REBUILDING: _ours(
        503,
        "Wait as long as `Retry-After` says; this process still reads what is known of requests.",
    ),
    Code.JOB_NOT_FOUND: ErrorSpec(
        404,
        "invalid_request_error",
        "not_found_error",
        False,
        "Check the id; answers are kept for 72 hours.",
    ),
    Code.NOT_CANCELLABLE: _bad(409, "The request has ended already; read its outcome."),
    Code.REQUEST_EXCEEDS_LIMIT: _bad(
        400, "Send less, or ask for fewer tokens: it is larger than a whole minute's limit."
    ),
    Code.REQUEST_UNBOUNDED: _bad(
        400,
        "State `max_tokens`; images, sounds and files need `models.*.media_tokens` in the configuration.",
    ),
    Code.PREDICTED_WAIT_EXCEEDS_DEADLINE: ErrorSpec(
        429,
        "rate_limit_error",
        "rate_limit_error",
        True,
        "Others wait for the same limit: ask later, with a longer deadline, or submit a job.",
    ),
    Code.INTERNAL: _ours(500, "A fault in Headrace; report it with the request id."),
}


class OpenAIError(msgspec.Struct):
    """The inner object of an OpenAI error body."""

    message: str
    type: str
    param: str | None
    code: str


class _OpenAIBody(msgspec.Struct):
    error: OpenAIError


_encode = msgspec.json.Encoder().encode


def error_body(code: Code, message: str, param: str | None = None) -> bytes:
    """The error in the OpenAI API's shape, which every endpoint so far speaks."""
    return _encode(
        _OpenAIBody(OpenAIError(message, CATALOGUE[code].openai_type, param, code.value))
    )


def error_event(body: bytes, status: int) -> bytes:
    """An error, the `body` of an answer with `status`, as the last event of a server-sent stream.

    It is one line of JSON with an `error` in it: a reader takes anything else for a chunk, or for the
    stream's good end. Where `body` is nothing of the kind, an error of ours quotes its beginning.
    """
    return b"data: %b\n\n" % (_one_line(body) or _quoted(body, status))


def _one_line(body: bytes) -> bytes:
    """`body` without its line breaks; nothing where it is no JSON object with an error."""
    try:
        found = msgspec.json.decode(body)
        told = isinstance(found, dict) and bool(found.get("error"))
        return msgspec.json.format(body, indent=-1) if told else b""
    except (ValueError, RecursionError):  # no JSON, no UTF-8, or nested without end
        return b""


def _quoted(body: bytes, status: int) -> bytes:
    text = " ".join(body[:QUOTED_BYTES].decode(errors="replace").split()) or "nothing"
    return error_body(
        Code.UPSTREAM_STREAM_BROKEN, f"The upstream answered with status {status}: {text}"
    )
