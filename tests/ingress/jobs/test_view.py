"""Job objects: the answer's bytes as they came, errors in the API's shape."""

import base64
import json

import msgspec
import pytest

from headrace.ingress.index import Row
from headrace.ingress.index.row import Pieces
from headrace.ingress.jobs import ending, view
from headrace.schemas.names import Endpoint, Kind, LaneName, ModelName, Outcome, RequestId, Tenant
from headrace.schemas.replies import Reply
from headrace.schemas.status import Queued, Running, Status, Terminal

ID, TENANT = RequestId("r"), Tenant("t")
QUEUED = Queued(
    tenant=TENANT, id=ID, kind=Kind.JOB, model=ModelName("m"), lane=LaneName("batch"),
    endpoint=Endpoint.CHAT, stream=False, accepted_ms=1, deadline_ms=9, reply_partition=0,
)  # fmt: skip


def row(*states: Status) -> Row:
    pieces = Pieces()
    for at_ms, state in enumerate((QUEUED, *states), 1):
        pieces.take(state, at_ms)
    found = pieces.row()
    assert found is not None
    return found


def ended(outcome: Outcome, status: int, code: str = "") -> Row:
    return row(
        Terminal(tenant=TENANT, id=ID, outcome=outcome, status=status, code=code, attempts=2)
    )


def answered(body: bytes, content_type: bytes = b"application/json", status: int = 200) -> Reply:
    return Reply(id=ID, body=body, final=True, content_type=content_type, status=status)


def test_a_job_that_waits_shows_what_is_known() -> None:
    shown = json.loads(view.job(row()))
    assert shown == {
        "id": "r", "object": "job", "kind": "job", "state": "queued", "endpoint": "/v1/chat/completions",
        "model": "m", "lane": "batch", "stream": False, "accepted_ms": 1, "not_before_ms": None,
        "deadline_ms": 9, "updated_ms": 1, "attempts": 0, "queue_ms": None, "upstream": None,
        "response": None, "error": None,
    }  # fmt: skip


def test_a_job_that_runs_tells_its_attempt() -> None:
    running = Running(tenant=TENANT, id=ID, attempt=2, deployment="east", source="d")
    shown = json.loads(view.job(row(running)))
    assert (shown["state"], shown["attempts"], shown["upstream"]) == ("running", 2, "east")


def test_a_followed_stream_says_who_answers_once_that_can_change_no_more() -> None:
    running = Running(tenant=TENANT, id=ID, attempt=2, deployment="east", source="d")
    assert b"headrace-upstream" not in dict(view.stream_head(row(running)))
    begun = dict(view.stream_head(row(msgspec.structs.replace(running, chunks=(0, 5)))))
    assert (begun[b"headrace-upstream"], begun[b"headrace-attempts"]) == (b"east", b"2")
    assert b"headrace-queue-ms" not in begun


@pytest.mark.parametrize("status", [200, 400])
def test_the_upstreams_body_is_embedded_byte_for_byte(status: int) -> None:
    body = b'{ "b" : 1.0e2,\n  "a": "\\u00e9" }'
    outcome = Outcome.COMPLETED if status == 200 else Outcome.FAILED
    shown = view.job(ended(outcome, status), answered(body, status=status))
    assert b'"body":%b' % body in shown
    assert json.loads(shown)["response"]["status"] == status
    assert json.loads(shown)["error"] is None


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"data: x\n\n", b"text/event-stream"),
        (b'{"cut":', b"application/json"),
        (b"", b"text/plain"),
    ],
)
def test_what_is_no_json_is_a_string(body: bytes, content_type: bytes) -> None:
    shown = json.loads(view.job(ended(Outcome.COMPLETED, 200), answered(body, content_type)))
    assert shown["response"]["body"] == body.decode()
    assert shown["response"].get("content_type", "application/json") == content_type.decode()


def test_what_is_no_text_is_base64() -> None:
    shown = json.loads(view.job(ended(Outcome.COMPLETED, 200), answered(b"\xff{}")))
    response = shown["response"]
    assert response["encoding"] == "base64"
    assert base64.b64decode(response["body"]) == b"\xff{}"


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Outcome.CANCELLED, "cancelled"),
        (Outcome.EXPIRED, "deadline_exceeded"),
        (Outcome.FAILED, "reply_lost"),
    ],
)
def test_an_end_without_an_answer_is_an_error_in_the_apis_shape(
    outcome: Outcome, code: str
) -> None:
    found = ended(outcome, 499)
    shown = json.loads(view.job(found, ending.made(found)))
    assert shown["state"] == outcome.value
    assert shown["response"] is None
    assert shown["error"]["code"] == code
    assert set(shown["error"]) == {"message", "type", "param", "code"}


def test_a_code_of_a_newer_version_is_told_all_the_same() -> None:
    found = ended(Outcome.FAILED, 502, "code_of_tomorrow")
    assert ending.made(found).status == 502


def test_an_error_of_headrace_is_shown_as_it_was_written() -> None:
    body = (
        b'{"error":{"message":"why","type":"server_error","param":null,"code":"upstream_timeout"}}'
    )
    final = answered(body, status=504)
    final.code = "upstream_timeout"
    shown = json.loads(view.job(ended(Outcome.FAILED, 504, "upstream_timeout"), final))
    assert shown["error"] == json.loads(body)["error"]
