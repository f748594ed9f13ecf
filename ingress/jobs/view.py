"""Job objects: what `GET /v1/jobs/{id}` shows of a request with a kind. Pure."""

import base64

import msgspec

from headrace.ingress.answer import Answer, HttpHeaders, stream_headers
from headrace.ingress.index import Row
from headrace.ingress.index.row import Pieces
from headrace.schemas.errors import CATALOGUE, Code, OpenAIError
from headrace.schemas.records import JSON_TYPE
from headrace.schemas.replies import Reply
from headrace.schemas.status import Queued


class Response(msgspec.Struct, omit_defaults=True):
    """The upstream's answer. `body` is its bytes as they came, where they are JSON; else a string."""

    status: int
    body: msgspec.Raw
    content_type: str = "application/json"
    encoding: str = ""
    """`base64` where the body is no text."""


class Job(msgspec.Struct, kw_only=True):
    """A job object. Times are epoch milliseconds by the broker's clock; null: not known, or none."""

    id: str
    object: str = "job"
    kind: str
    state: str
    """`queued`, `running`, or the outcome: completed, failed, expired, cancelled, dead_lettered."""
    endpoint: str
    model: str
    lane: str
    stream: bool
    accepted_ms: int
    not_before_ms: int | None
    deadline_ms: int
    updated_ms: int
    attempts: int
    queue_ms: int | None
    upstream: str | None
    response: Response | None = None
    """The upstream's answer, of whatever status."""
    error: OpenAIError | None = None
    """The error, where Headrace made the answer."""


_encode = msgspec.json.Encoder().encode
_checked = msgspec.json.Decoder(msgspec.Raw)


def job(row: Row, final: Reply | None = None) -> bytes:
    """The object as JSON. `final` is the answer of a request that has ended."""
    shown = Job(
        id=row.id,
        kind=row.kind.value,
        state=row.state.value,
        endpoint=f"/v1/{row.endpoint.value}",
        model=row.model,
        lane=row.lane,
        stream=row.stream,
        accepted_ms=row.accepted_ms,
        not_before_ms=row.not_before_ms or None,
        deadline_ms=row.deadline_ms,
        updated_ms=row.updated_ms,
        attempts=row.attempts,
        queue_ms=row.queue_ms if row.ended else None,
        upstream=row.upstream or None,
    )
    if final is not None and final.code:
        shown.error = _error(final)
    elif final is not None:
        shown.response = _response(final)
    return _encode(shown)


def accepted(row: Queued) -> Answer:
    """202 for a job that was just accepted."""
    known = Pieces(queued=row, at_ms=row.accepted_ms).row()
    assert known is not None  # noqa: S101 - it is made of a `Queued`
    return accepted_row(known)


def accepted_row(row: Row) -> Answer:
    """202 with the job as it is, and where it will be."""
    location = (b"location", b"/v1/jobs/%b" % row.id.encode())
    return shown(row, job(row), 202, location, (b"preference-applied", b"respond-async"))


def shown(row: Row, body: bytes, status: int, *more: tuple[bytes, bytes]) -> Answer:
    """An answer whose body is a job object."""
    headers = [
        (b"content-type", JSON_TYPE),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", row.id.encode()),
        *more,
    ]
    return Answer(status, headers, body)


def stream_head(row: Row) -> HttpHeaders:
    """Headers of its events: from the first chunk on they say who answers."""
    if row.chunks is None and not row.ended:
        return stream_headers(row.id)
    queue_ms = row.queue_ms if row.ended else None
    return stream_headers(row.id, row.attempts, queue_ms, row.upstream)


class _ErrorBody(msgspec.Struct):
    error: OpenAIError


def _error(final: Reply) -> OpenAIError:
    """The error of a final that Headrace made; one in a shape of another version keeps its code."""
    try:
        return msgspec.json.decode(final.body, type=_ErrorBody).error
    except (msgspec.MsgspecError, UnicodeDecodeError):
        spec = CATALOGUE[Code.INTERNAL]
        return OpenAIError("The error cannot be read.", spec.openai_type, None, final.code)


def _response(final: Reply) -> Response:
    content_type = final.content_type.decode("latin-1")
    body = final.body
    try:
        text = body.decode()
    except UnicodeDecodeError:
        coded = msgspec.Raw(_encode(base64.b64encode(body).decode()))
        return Response(final.status, coded, content_type, "base64")
    raw = body if _is_json(content_type) and _valid(body) else _encode(text)
    return Response(final.status, msgspec.Raw(raw), content_type)


def _is_json(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "application/json"


def _valid(body: bytes) -> bool:
    try:
        _checked.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
