import hashlib
import json
from typing import Any, NamedTuple

import pytest

from headrace.ingress.intake.check import Rejected, check, foreign_headers, intake_policy
from headrace.ingress.policy import admission_policy
from headrace.schemas.config.model import Config
from headrace.schemas.errors import Code
from headrace.schemas.names import Endpoint
from headrace.schemas.records import ReplyTo, RequestRecord

WRITTEN_AT = 1_700_000_000_000
CONFIG = Config.model_validate(
    {
        "deployments": [
            {"name": name, "model": name, "upstream": {"base_url": "http://127.0.0.1:1/v1"}}
            for name in ("gpt-small", "claude")
        ],
        "tenants": {
            "acme": {"models": ["gpt-*"], "lanes": ["standard", "batch"], "inbox": True},
            "acme.eu": {"inbox": True},
        },
        "ingress": {"max_body_bytes": 2000},
    }
)
found_policy = intake_policy(CONFIG, admission_policy(CONFIG))
assert found_policy is not None
POLICY = found_policy
CHAT = {"model": "gpt-small", "messages": [{"role": "user", "content": "hi"}]}


class Written(NamedTuple):
    value: bytes | None
    headers: list[tuple[str, bytes]]
    topic: str = "headrace.inbox.acme"
    partition: int = 2
    offset: int = 41
    timestamp: int = WRITTEN_AT
    key: bytes | None = None


def judge(body: Any = CHAT, **headers: str) -> RequestRecord | Rejected:
    value = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    pairs = [(name.replace("_", "-"), text.encode()) for name, text in headers.items()]
    return check(POLICY, Written(value, pairs))


def accepted(found: RequestRecord | Rejected) -> RequestRecord:
    assert isinstance(found, RequestRecord), found
    return found


def rejected(found: RequestRecord | Rejected) -> Rejected:
    assert isinstance(found, Rejected), found
    return found


def test_a_record_with_only_a_body_is_complete() -> None:
    record = accepted(judge())
    assert (record.id, record.tenant, record.lane) == (
        "headrace.inbox.acme-2-41",
        "acme",
        "standard",
    )
    assert (record.endpoint, record.stream, record.reply) == (Endpoint.CHAT, False, None)
    assert record.deadline_ms == WRITTEN_AT + 600_000


def test_the_tenant_is_the_topic_s_whatever_a_header_says() -> None:
    assert accepted(judge(headrace_tenant="acme.eu")).tenant == "acme"


def test_a_record_keeps_its_value_byte_for_byte() -> None:
    body = b'{ "model":"gpt-small",\n"messages" : [ ] }'
    assert accepted(judge(body)).body == body


@pytest.mark.parametrize(
    ("body", "endpoint"),
    [
        (CHAT, Endpoint.CHAT),
        ({"model": "gpt-small", "input": "text"}, Endpoint.EMBEDDINGS),
        ({"model": "gpt-small", "prompt": "text"}, Endpoint.COMPLETIONS),
    ],
)
def test_a_body_tells_its_endpoint(body: dict[str, Any], endpoint: Endpoint) -> None:
    assert accepted(judge(body)).endpoint is endpoint


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"headrace_lane": "interactive"}, Code.FORBIDDEN),
        ({"headrace_lane": "nowhere"}, Code.UNKNOWN_LANE),
        ({"headrace_deadline_ms": str(WRITTEN_AT)}, Code.INVALID_DEADLINE),
        ({"headrace_deadline_ms": str(WRITTEN_AT + 86_400_001)}, Code.INVALID_DEADLINE),
        ({"headrace_not_before_ms": str(WRITTEN_AT + 600_000)}, Code.INVALID_NOT_BEFORE),
        ({"headrace_endpoint": "images"}, Code.UNPROCESSABLE_RECORD),
        ({"headrace_body_sha256": "0" * 64}, Code.UNPROCESSABLE_RECORD),
    ],
)
def test_what_http_would_refuse_is_rejected(headers: dict[str, str], code: Code) -> None:
    assert rejected(judge(**headers)).code is code


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (None, Code.UNPROCESSABLE_RECORD),
        (b"not json", Code.INVALID_JSON),
        ({"model": "claude", "messages": []}, Code.FORBIDDEN),
        ({"model": "unknown", "messages": []}, Code.MODEL_NOT_FOUND),
        ({"messages": []}, Code.MODEL_REQUIRED),
        (CHAT | {"user": "x" * 3000}, Code.RECORD_TOO_LARGE),
    ],
)
def test_a_body_that_cannot_be_asked_is_rejected(body: Any, code: Code) -> None:
    assert rejected(judge(body)).code is code


def test_a_rejection_is_told_to_the_tenant_s_own_topic() -> None:
    found = rejected(judge(b"no", ce_id="x", headrace_reply_topic="out.acme.answers"))
    assert found.reply == ReplyTo("out.acme.answers")


@pytest.mark.parametrize(
    "topic",
    ["out.acme.answers", "headrace.out.acme.answers"],
)
def test_answers_may_go_to_the_tenant_s_out_topics(topic: str) -> None:
    assert accepted(judge(headrace_reply_topic=topic)).reply == ReplyTo(topic)


@pytest.mark.parametrize(
    "topic",
    [
        "headrace.replies",
        "headrace.requests.batch",
        "out.acme",
        "out.acme.eu.answers",
        "out.beta.x",
    ],
)
def test_a_topic_that_is_not_the_tenant_s_gets_neither_answer_nor_rejection(topic: str) -> None:
    found = rejected(judge(headrace_reply_topic=topic))
    assert (found.code, found.reply) == (Code.FORBIDDEN, None)
    assert rejected(judge(b"", headrace_reply_topic=topic, headrace_deadline_ms="x")).reply is None


def test_a_producer_cannot_pose_as_a_retry_or_as_a_waiting_ingress() -> None:
    record = accepted(
        judge(
            headrace_attempt="7",
            headrace_source_topic="headrace.requests.batch",
            headrace_reply_topic="out.acme.answers",
            headrace_reply_instance="ingress-1",
            headrace_kind="job",
        )
    )
    assert (record.attempt, record.kind) == (1, None)
    assert record.reply == ReplyTo("out.acme.answers")


def test_what_the_producer_says_of_its_request_travels_on() -> None:
    digest = hashlib.sha256(json.dumps(CHAT).encode()).hexdigest()
    record = accepted(
        judge(headrace_idempotency_key="k1", headrace_body_sha256=digest, headrace_lane="batch")
    )
    assert (record.idempotency_key, record.body_sha256, record.lane) == ("k1", digest, "batch")


def test_headers_that_are_not_ours_travel_on() -> None:
    headers = [
        ("team", b"search"),
        ("headrace-tenant", b"x"),
        ("reply-topic", b"y"),
        ("ce_id", b"z"),
    ]
    assert foreign_headers(headers) == [("team", b"search")]
