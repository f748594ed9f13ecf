"""A submitted job is admitted as the call that it wraps: same bytes, same rules, its own field names."""

import pytest

from headrace.ingress.jobs import submission
from headrace.ingress.jobs.submission import Submission
from headrace.ingress.refusal import Refusal
from headrace.schemas.errors import Code
from headrace.schemas.names import Endpoint

INNER = b'{ "model" : "small",\n "messages": [ ],  "x": 1.0e2 }'


def test_the_inner_body_keeps_its_bytes() -> None:
    read = submission.read(b'{"endpoint":"/v1/chat/completions", "body": %b }' % INNER, {})
    assert isinstance(read, Submission)
    assert (read.endpoint, read.body) == (Endpoint.CHAT, INNER)


def test_its_wishes_become_the_headers_of_a_direct_call_and_win() -> None:
    content = (
        b'{"endpoint":"/v1/embeddings","body":{},"lane":"batch","deadline_s":1.5,"not_before":17}'
    )
    read = submission.read(content, {b"headrace-lane": b"interactive", b"traceparent": b"t"})
    assert isinstance(read, Submission)
    assert read.headers == {
        b"traceparent": b"t",
        b"prefer": b"respond-async",
        b"headrace-lane": b"batch",
        b"headrace-timeout": b"1.500",
        b"headrace-not-before": b"17",
    }


BAD = [
    (b"{", Code.INVALID_JSON, None),
    (b"[]", Code.INVALID_JSON, None),
    (b"[" * 100_000, Code.INVALID_JSON, None),
    (b'{"body":' + b"[" * 100_000, Code.INVALID_JSON, None),
    (b'{"body":{}}', Code.INVALID_REQUEST, "endpoint"),
    (b'{"endpoint":"/v1/chat/completions"}', Code.INVALID_REQUEST, "body"),
    (b'{"endpoint":"/v1/models","body":{}}', Code.INVALID_REQUEST, "endpoint"),
    (b'{"endpoint":1,"body":{}}', Code.INVALID_REQUEST, "endpoint"),
    (b'{"endpoint":"/v1/embeddings","body":{},"lane":1}', Code.INVALID_REQUEST, "lane"),
    (b'{"endpoint":"/v1/embeddings","body":{},"deadline_s":"x"}', Code.INVALID_REQUEST, "deadline_s"),
    (b'{"endpoint":"/v1/embeddings","body":{},"not_before":[]}', Code.INVALID_REQUEST, "not_before"),
    (b'{"endpoint":"/v1/embeddings","body":{},"webhook":""}', Code.INVALID_REQUEST, None),
]  # fmt: skip


@pytest.mark.parametrize(("content", "code", "param"), BAD)
def test_what_is_no_job_is_refused_by_name(content: bytes, code: Code, param: str | None) -> None:
    refusal = submission.read(content, {})
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.param) == (code, param)


def test_a_refusal_names_the_field_of_the_job() -> None:
    refusal = Refusal(Code.INVALID_DEADLINE, "no", "headrace-timeout")
    assert submission.blame(refusal).param == "deadline_s"
