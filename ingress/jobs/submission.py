"""Reading a job as it is submitted: which endpoint, which body, and the wishes beside it.

The inner body is never parsed and rebuilt: it goes on as the bytes that stood there. The wishes become
the headers that a direct call would carry, so that the same rules judge both.
"""

from collections.abc import Mapping

import msgspec

from headrace.ingress.refusal import Refusal
from headrace.schemas.errors import Code
from headrace.schemas.names import Endpoint

ENDPOINTS: dict[str, Endpoint] = {f"/v1/{endpoint.value}": endpoint for endpoint in Endpoint}


class _Submitted(msgspec.Struct, forbid_unknown_fields=True):
    endpoint: str
    body: msgspec.Raw
    lane: str | None = None
    deadline_s: float | None = None
    not_before: int | str | None = None


_decode = msgspec.json.Decoder(_Submitted).decode
_FIELDS = ("endpoint", "body", "lane", "deadline_s", "not_before")
_PARAMS = {
    "headrace-lane": "lane",
    "headrace-timeout": "deadline_s",
    "headrace-deadline-ms": "deadline_s",
    "headrace-not-before": "not_before",
    "model": "body.model",
    "stream": "body.stream",
}


class Submission(msgspec.Struct, frozen=True):
    """A job to be admitted as a call of `endpoint` with `body` and `headers`."""

    endpoint: Endpoint
    body: bytes
    headers: dict[bytes, bytes]


def read(content: bytes, headers: Mapping[bytes, bytes]) -> Submission | Refusal:
    """Read the body of `POST /v1/jobs`; its fields win over the same wishes in `headers`."""
    try:
        told = _decode(content)
    except msgspec.ValidationError as error:
        return _wrong(str(error))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Refusal(Code.INVALID_JSON, "The body is not valid JSON.")
    endpoint = ENDPOINTS.get(told.endpoint)
    if endpoint is None:
        known = ", ".join(ENDPOINTS)
        return Refusal(Code.INVALID_REQUEST, f"`endpoint` is one of {known}.", "endpoint")
    return Submission(endpoint, bytes(told.body), {**headers, **_wishes(told)})


def blame(refusal: Refusal) -> Refusal:
    """The refusal with the name of the job's field instead of the header's."""
    param = _PARAMS.get(refusal.param or "", refusal.param)
    return refusal if param == refusal.param else msgspec.structs.replace(refusal, param=param)


def _wishes(told: _Submitted) -> dict[bytes, bytes]:
    wishes = {b"prefer": b"respond-async"}
    if told.lane is not None:
        wishes[b"headrace-lane"] = told.lane.encode()
    if told.deadline_s is not None:
        wishes[b"headrace-timeout"] = f"{told.deadline_s:.3f}".encode()
    if told.not_before is not None:
        wishes[b"headrace-not-before"] = str(told.not_before).encode("latin-1", "replace")
    return wishes


def _wrong(reason: str) -> Refusal:
    """`reason` is msgspec's, which names the field but never its value."""
    for field in _FIELDS:
        if reason.endswith(f"`$.{field}`"):
            return Refusal(Code.INVALID_REQUEST, f"`{field}` has the wrong type.", field)
        if reason == f"Object missing required field `{field}`":
            return Refusal(Code.INVALID_REQUEST, f"`{field}` is missing.", field)
    if reason.startswith("Object contains unknown field"):
        return Refusal(Code.INVALID_REQUEST, f"A job has only the fields {', '.join(_FIELDS)}.")
    return Refusal(Code.INVALID_JSON, "The body is not a JSON object.")
