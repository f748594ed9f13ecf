import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.ingress.admission import HttpHeaders, admit, admit_head
from headrace.ingress.policy import AdmissionPolicy, Caller, admission_policy
from headrace.ingress.refusal import Refusal
from headrace.schemas import keys
from headrace.schemas.config.model import Config
from headrace.schemas.errors import CATALOGUE, Code
from headrace.schemas.names import Ambiguous, Endpoint, InstanceId, RequestId, Tenant
from headrace.schemas.records import ReplyTo, RequestRecord, encode

NOW = 1_700_000_000_000
PEPPER = "pepper"
REPLY = ReplyTo("replies", 3, InstanceId("i"))
JSON: dict[bytes, bytes] = {b"content-type": b"application/json"}


def key_of(tenant: str, fill: bytes = b"k") -> str:
    return keys.mint(Tenant(tenant), fill * keys.RANDOM_BYTES)


def config(**auth: Any) -> Config:
    deployments = [
        {"name": name, "model": name, "upstream": {"base_url": "http://127.0.0.1:1/v1"}}
        for name in ("gpt-small", "gpt-large", "claude")
    ]
    tenants = {
        "acme": {
            "models": ["gpt-*"],
            "lanes": ["standard", "batch"],
            "keys": [
                keys.digest(key_of("acme"), PEPPER),
                {
                    "digest": keys.digest(key_of("acme", b"l"), PEPPER),
                    "name": "ci",
                    "limits": {"concurrency": 2},
                },
                {"digest": keys.digest(key_of("acme", b"n"), PEPPER), "name": "free"},
            ],
        }
    }
    return Config.model_validate({"deployments": deployments, "tenants": tenants, "auth": auth})


OPEN = admission_policy(config())
KEYED = admission_policy(config(mode="keys", pepper=PEPPER))


def request(
    body: Any = None,
    headers: HttpHeaders | None = None,
    *,
    policy: AdmissionPolicy = OPEN,
    caller: Caller | None = None,
) -> RequestRecord | Refusal:
    return admit(
        policy, caller or policy.anybody, Endpoint.CHAT, JSON | dict(headers or {}),
        body if isinstance(body, bytes) else json.dumps(body or {"model": "claude"}).encode(),
        request_id=RequestId("r1"), now_ms=NOW, reply=REPLY,
    )  # fmt: skip


def refused(found: object) -> Code:
    assert isinstance(found, Refusal)
    return found.code


def admitted(found: object) -> RequestRecord:
    assert isinstance(found, RequestRecord)
    return found


def test_an_admitted_request_becomes_a_complete_record() -> None:
    body = b'{"model": "claude",  "stream": true, "messages": []}'
    record = admitted(request(body))
    assert record.body is body
    assert (record.id, record.tenant, record.lane) == ("r1", "default", "standard")
    assert (record.model, record.stream, record.endpoint) == ("claude", True, Endpoint.CHAT)
    assert (record.accepted_ms, record.deadline_ms) == (NOW, NOW + 600_000)
    assert record.reply is REPLY


def test_a_lane_header_chooses_the_lane_and_its_deadline() -> None:
    record = admitted(request(headers={b"headrace-lane": b"interactive"}))
    assert (record.lane, record.deadline_ms) == ("interactive", NOW + 120_000)


@pytest.mark.parametrize("lane", [b"express", b"", b"Interactive", b"\xff"])
def test_an_unknown_lane_is_refused(lane: bytes) -> None:
    found = request(headers={b"headrace-lane": lane})
    if lane:
        assert refused(found) is Code.UNKNOWN_LANE
    else:
        assert admitted(found).lane == "standard"


def test_a_deadline_may_be_absolute_or_a_timeout() -> None:
    absolute = request(headers={b"headrace-deadline-ms": b"%d" % (NOW + 5)})
    relative = request(headers={b"headrace-timeout": b"2.5"})
    assert admitted(absolute).deadline_ms == NOW + 5
    assert admitted(relative).deadline_ms == NOW + 2_500


@pytest.mark.parametrize(
    "told",
    [
        {b"headrace-deadline-ms": b"%d" % NOW},
        {b"headrace-deadline-ms": b"%d" % (NOW - 1)},
        {b"headrace-deadline-ms": b"%d" % (NOW + 86_400_001)},
        {b"headrace-deadline-ms": b"9" * 400},
        {b"headrace-deadline-ms": b"soon"},
        {b"headrace-deadline-ms": b""},
        {b"headrace-timeout": b"0"},
        {b"headrace-timeout": b"-1"},
        {b"headrace-timeout": b"1e3"},
        {b"headrace-timeout": b"nan"},
        {b"headrace-timeout": b"86401"},
    ],
)
def test_a_deadline_in_the_past_or_absurd_is_refused(told: dict[bytes, bytes]) -> None:
    assert refused(request(headers=told)) is Code.INVALID_DEADLINE


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", Code.INVALID_JSON),
        (b"[" * 4_000_000, Code.INVALID_JSON),
        (b'{"model": 3}', Code.INVALID_REQUEST),
        (b'{"messages": []}', Code.MODEL_REQUIRED),
        (b'{"model": ""}', Code.MODEL_REQUIRED),
        (b'{"model": "gpt-unknown"}', Code.MODEL_NOT_FOUND),
    ],
)
def test_bad_bodies_have_stable_codes(body: bytes, code: Code) -> None:
    assert refused(request(body)) is code


@pytest.mark.parametrize(
    "content_type", [b"", b"text/plain", b"application/jsonp", b"multipart/form-data"]
)
def test_only_json_is_read(content_type: bytes) -> None:
    assert refused(admit_head(OPEN, {b"content-type": content_type})) is Code.INVALID_CONTENT_TYPE


@pytest.mark.parametrize("content_type", [b"application/json", b"Application/JSON ; charset=utf-8"])
def test_json_may_name_its_charset(content_type: bytes) -> None:
    assert admit_head(OPEN, {b"content-type": content_type}) is OPEN.anybody


def test_a_declared_length_above_the_limit_is_refused_unread() -> None:
    found = admit_head(OPEN, JSON | {b"content-length": b"%d" % (OPEN.max_body_bytes + 1)})
    assert refused(found) is Code.RECORD_TOO_LARGE


@pytest.mark.parametrize("value", [b"a\tb", b"a\x7fb", b"x" * 1025])
def test_a_header_of_ours_is_short_printable_text(value: bytes) -> None:
    assert refused(admit_head(OPEN, JSON | {b"headrace-lane": value})) is Code.INVALID_HEADER


def bearer(key: str) -> HttpHeaders:
    return JSON | {b"authorization": f"Bearer {key}".encode("latin-1", "replace")}


def test_a_key_tells_its_tenant() -> None:
    caller = admit_head(KEYED, bearer(key_of("acme")))
    assert isinstance(caller, Caller)
    assert caller.tenant == "acme"


@pytest.mark.parametrize(
    "key",
    [
        "",
        "sk-none",
        key_of("acme", b"x"),
        key_of("globex"),
        key_of("acme")[:-1] + "?",
        "hr_acme_" + "k" * 60,
    ],
)
def test_every_other_key_is_refused_alike(key: str) -> None:
    assert refused(admit_head(KEYED, bearer(key))) is Code.INVALID_API_KEY


def test_a_key_is_taken_from_a_bearer_only() -> None:
    headers = JSON | {b"authorization": b"Basic " + key_of("acme").encode()}
    assert refused(admit_head(KEYED, headers)) is Code.INVALID_API_KEY


def test_a_tenant_uses_its_models_and_lanes_only() -> None:
    acme = KEYED.callers[Tenant("acme")]
    assert admitted(request({"model": "gpt-large"}, policy=KEYED, caller=acme)).tenant == "acme"
    assert refused(request({"model": "claude"}, policy=KEYED, caller=acme)) is Code.FORBIDDEN
    lane = {b"headrace-lane": b"interactive"}
    assert (
        refused(request({"model": "gpt-large"}, lane, policy=KEYED, caller=acme)) is Code.FORBIDDEN
    )


def test_the_record_says_what_becomes_of_a_call_that_a_crash_cuts_short() -> None:
    found = request(headers={b"headrace-ambiguous": b"park"})
    assert isinstance(found, RequestRecord)
    assert (found.ambiguous, found.kind) == (Ambiguous.PARK, None)


def test_only_a_well_formed_traceparent_is_passed_on() -> None:
    good = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert admitted(request(headers={b"traceparent": good})).traceparent == good
    assert admitted(request(headers={b"traceparent": good + b"x"})).traceparent == b""


HEADERS = st.dictionaries(
    st.sampled_from(
        [
            b"headrace-lane",
            b"headrace-deadline-ms",
            b"headrace-timeout",
            b"traceparent",
            b"authorization",
        ]
    ),
    st.binary(max_size=40) | st.sampled_from([b"batch", b"12", b"Bearer x"]),
)


@given(st.binary(max_size=60) | st.sampled_from([b'{"model":"claude"}']), HEADERS)
def test_whatever_comes_is_a_record_or_a_refusal_below_500(
    body: bytes, headers: dict[bytes, bytes]
) -> None:
    head = admit_head(OPEN, JSON | headers)
    found = request(body, headers) if isinstance(head, Caller) else head
    if isinstance(found, RequestRecord):
        assert NOW < found.deadline_ms <= NOW + 86_400_000
    else:
        assert 400 <= CATALOGUE[found.code].status < 500


@pytest.mark.parametrize(("fill", "name"), [(b"k", ""), (b"l", "ci"), (b"n", "")])
def test_a_record_tells_the_name_of_a_key_that_has_limits(fill: bytes, name: str) -> None:
    caller = admit_head(KEYED, bearer(key_of("acme", fill)))
    assert isinstance(caller, Caller)
    record = admitted(request({"model": "gpt-large"}, policy=KEYED, caller=caller))
    assert (record.tenant, record.key_name) == ("acme", name)
    told = dict(encode(record, b"i"))
    assert told.get("headrace-key-name", b"") == name.encode()
