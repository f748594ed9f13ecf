"""Jobs: accepted by one replica, known to every other, and answered by what the log decided."""

import asyncio
import json
from typing import Any

from headrace.schemas import keys
from headrace.schemas.names import Kind, Outcome, RequestId, Tenant
from headrace.schemas.records import RequestRecord
from headrace.schemas.replies import Reply
from support.answering import Answers, answered
from support.eventually import eventually
from support.jobs import PairUp, submitted
from support.serving import MODEL

INNER = b'{ "model" : "%b",\n "messages": [ ], "temperature": 1.0e0 }' % MODEL.encode()
JSON = {"content-type": "application/json"}
UPSTREAM = b'{ "choices" : [ ],  "n": 1.50 }'


def silent(_: RequestRecord) -> list[Reply]:
    return []


def answering(body: bytes = UPSTREAM, **fields: Any) -> Answers:
    return lambda request: [answered(request, body, **fields)]


async def test_a_job_is_accepted_by_one_replica_and_answered_by_the_other(pair_up: PairUp) -> None:
    pair = await pair_up(answering())
    accepted = await pair.first.post(
        "/v1/jobs", content=submitted(INNER, lane="interactive"), headers=JSON
    )
    assert accepted.status_code == 202
    job = accepted.json()
    assert accepted.headers["location"] == f"/v1/jobs/{job['id']}"
    assert accepted.headers["preference-applied"] == "respond-async"
    assert (job["object"], job["kind"], job["state"], job["lane"]) == (
        "job",
        "job",
        "queued",
        "interactive",
    )

    found = await pair.second.get(accepted.headers["location"], params={"wait": 20})
    assert found.status_code == 200
    assert (found.json()["state"], found.json()["attempts"]) == ("completed", 1)
    assert b'"body":%b' % UPSTREAM in found.content
    (request,) = pair.dispatcher.requests
    assert (request.body, request.kind, request.id) == (INNER, Kind.JOB, job["id"])
    assert request.reply is not None
    assert request.reply.instance is None


async def test_any_call_that_prefers_to_be_answered_later_is_a_job(pair_up: PairUp) -> None:
    pair = await pair_up(answering())
    accepted = await pair.first.post(
        "/v1/chat/completions", content=INNER, headers=JSON | {"prefer": "respond-async"}
    )
    assert accepted.status_code == 202
    found = await pair.first.get(accepted.headers["location"], params={"wait": 20})
    assert found.json()["response"]["body"] == json.loads(UPSTREAM)


async def test_a_cancelled_job_stays_cancelled_and_a_finished_one_finished(pair_up: PairUp) -> None:
    pair = await pair_up(silent)
    location = (await pair.first.post("/v1/jobs", content=submitted(INNER), headers=JSON)).headers[
        "location"
    ]
    cancelled = await pair.second.delete(location)
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert cancelled.json()["error"]["code"] == "cancelled"
    (request,) = await eventually(lambda: pair.dispatcher.requests)
    await eventually(lambda: request.id in pair.dispatcher.cancelled)
    await pair.dispatcher.say(request, answering()(request))
    assert (await pair.first.delete(location)).status_code == 200
    assert (await pair.first.get(location)).json()["state"] == "cancelled"

    pair.dispatcher.answer = answering()
    location = (await pair.first.post("/v1/jobs", content=submitted(INNER), headers=JSON)).headers[
        "location"
    ]
    await pair.first.get(location, params={"wait": 20})
    refused = await pair.second.delete(location)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "not_cancellable")


async def test_a_job_that_nobody_ends_is_expired_in_time(pair_up: PairUp) -> None:
    pair = await pair_up(silent)
    content = submitted(INNER, deadline_s=1)
    location = (await pair.first.post("/v1/jobs", content=content, headers=JSON)).headers[
        "location"
    ]
    found = (await pair.second.get(location, params={"wait": 28})).json()
    assert (found["state"], found["error"]["code"]) == ("expired", "deadline_exceeded")
    assert found["updated_ms"] - found["deadline_ms"] < 30_000
    assert await eventually(lambda: pair.dispatcher.cancelled)


async def test_a_job_whose_place_holds_the_answer_to_another_has_lost_its_own(
    pair_up: PairUp,
) -> None:
    pair = await pair_up(answering(id=RequestId("another")))
    location = (await pair.first.post("/v1/jobs", content=submitted(INNER), headers=JSON)).headers[
        "location"
    ]
    lost = await pair.first.get(location, params={"wait": 20})
    assert (lost.status_code, lost.json()["error"]["code"]) == (502, "reply_lost")


async def test_an_upstreams_refusal_is_its_answer_and_our_own_error_an_error(
    pair_up: PairUp,
) -> None:
    upstream = b'{"error":{"message":"no such thing"}}'
    pair = await pair_up(answering(upstream, status=400, outcome=Outcome.FAILED))
    location = (await pair.first.post("/v1/jobs", content=submitted(INNER), headers=JSON)).headers[
        "location"
    ]
    found = (await pair.first.get(location, params={"wait": 20})).json()
    assert (found["state"], found["response"]["status"]) == ("failed", 400)
    assert found["error"] is None


async def test_another_tenants_job_is_as_unknown_as_one_that_never_was(pair_up: PairUp) -> None:
    pepper = "pepper"
    mine, other = (keys.mint(Tenant(name), b"k" * keys.RANDOM_BYTES) for name in ("acme", "evil"))
    pair = await pair_up(
        answering(),
        auth={"mode": "keys", "pepper": pepper},
        tenants={
            "acme": {"keys": [keys.digest(mine, pepper)]},
            "evil": {"keys": [keys.digest(other, pepper)]},
        },
    )
    as_mine, as_other = ({"authorization": f"Bearer {key}"} for key in (mine, other))
    accepted = await pair.first.post("/v1/jobs", content=submitted(INNER), headers=JSON | as_mine)
    location = accepted.headers["location"]
    unknown = "/v1/jobs/0199d7a0-0000-7000-8000-000000000000"
    for method, path in (("GET", ""), ("GET", "/events"), ("DELETE", "")):
        for place, headers, status in (
            (location, as_other, 404), (unknown, as_mine, 404), (location, {}, 401)
        ):  # fmt: skip
            response = await pair.second.request(method, place + path, headers=headers)
            assert response.status_code == status, (method, path)
            code = response.json()["error"]["code"]
            assert code == ("job_not_found" if status == 404 else "invalid_api_key")
    found = await pair.second.get(location, headers=as_mine, params={"wait": 20})
    assert found.json()["state"] == "completed"


BAD: list[tuple[str, str, bytes | None, dict[str, str], int, str]] = [
    ("POST", "/v1/jobs", b"{", {}, 400, "invalid_json"),
    ("POST", "/v1/jobs", b"{}", {}, 400, "invalid_request"),
    ("POST", "/v1/jobs", submitted(b"{}"), {}, 400, "model_required"),
    ("POST", "/v1/jobs", submitted(b'{"model":"big"}'), {}, 404, "model_not_found"),
    ("POST", "/v1/jobs", submitted(b'{"model":' + b"[" * 70 + b"]" * 70 + b"}"), {}, 400, "invalid_request"),
    ("POST", "/v1/jobs", submitted(INNER, lane="x"), {}, 400, "unknown_lane"),
    ("POST", "/v1/jobs", submitted(INNER, deadline_s=-1), {}, 400, "invalid_deadline"),
    ("POST", "/v1/jobs", submitted(INNER, deadline_s=5, not_before="x"), {}, 400, "invalid_not_before"),
    ("POST", "/v1/jobs", submitted(INNER), {"content-type": "text/plain"}, 415, "invalid_content_type"),
    ("POST", "/v1/jobs", b"x" * 5_000_000, {}, 413, "record_too_large"),
    ("GET", "/v1/jobs", None, {}, 405, "method_not_allowed"),
    ("PUT", "/v1/jobs/x", None, {}, 405, "method_not_allowed"),
    ("DELETE", "/v1/jobs/x/events", None, {}, 405, "method_not_allowed"),
    ("GET", "/v1/jobs/x/y", None, {}, 404, "not_found"),
    ("GET", "/v1/jobs/" + "x" * 2000, None, {}, 404, "job_not_found"),
    ("GET", "/v1/jobs/a%2Fb", None, {}, 404, "job_not_found"),
    ("GET", "/v1/jobs/%00", None, {}, 404, "job_not_found"),
    ("POST", "/v1/chat/completions", INNER, {"headrace-delay": "100000"}, 400, "invalid_not_before"),
    ("POST", "/v1/chat/completions", INNER, {"headrace-resume": "maybe"}, 400, "invalid_header"),
]  # fmt: skip


async def test_bad_input_has_its_code_and_reaches_nobody(pair_up: PairUp) -> None:
    pair = await pair_up(silent)
    for method, path, content, headers, status, code in BAD:
        response = await pair.first.request(method, path, content=content, headers=JSON | headers)
        error = response.json()["error"]
        assert (response.status_code, error["code"]) == (status, code), (method, path, content)
        assert set(error) == {"message", "type", "param", "code"}
        assert response.headers["x-should-retry"] == "false"
    location = (await pair.first.post("/v1/jobs", content=submitted(INNER), headers=JSON)).headers[
        "location"
    ]
    for path, headers in (("?wait=x", {}), ("/events", {"last-event-id": "x"})):
        assert (await pair.first.get(location + path, headers=headers)).status_code == 400
    await eventually(lambda: pair.dispatcher.requests)
    assert [request.body for request in pair.dispatcher.requests] == [INNER]


async def test_a_wait_ends_with_the_job_as_it_is(pair_up: PairUp) -> None:
    pair = await pair_up(silent)
    location = (await pair.first.post("/v1/jobs", content=submitted(INNER), headers=JSON)).headers[
        "location"
    ]
    async with asyncio.timeout(60):
        found = await pair.second.get(location, params={"wait": "0.2"})
    assert (found.status_code, found.json()["state"]) == (200, "queued")


async def test_a_request_may_be_sent_later(pair_up: PairUp) -> None:
    pair = await pair_up(answering())
    await pair.first.post(
        "/v1/chat/completions", content=INNER, headers=JSON | {"headrace-delay": "5"}
    )
    (request,) = pair.dispatcher.requests
    assert request.deadline_ms - request.not_before_ms == 55_000
    assert request.kind is None
