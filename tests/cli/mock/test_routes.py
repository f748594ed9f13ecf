"""What the mock tells about itself over HTTP."""

import json
from typing import Any

import httpx

from headrace.cli.mock import MockUpstream
from support.eventually import eventually

BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def client_of(upstream: MockUpstream) -> httpx.AsyncClient:
    """A plain HTTP client."""
    return httpx.AsyncClient(base_url=upstream.url, timeout=60)


async def ask(client: httpx.AsyncClient, script: str = "", **headers: str) -> httpx.Response:
    """One chat call."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    sent = {"x-mock-script": script, **named}
    return await client.post("/v1/chat/completions", json=BODY, headers=sent)


async def test_the_log_tells_who_called_and_how_it_ended(upstream: MockUpstream) -> None:
    async with client_of(upstream) as client:
        await ask(client, "status=503", idempotency_key="k1", x_request_id="r1")
        page: Any = (await client.get("/mock/log")).json()
    (call,) = page["calls"]
    assert call["received"]["idempotency_key"] == "k1"
    assert call["received"]["request_id"] == "r1"
    assert call["received"]["received_at"] <= call["finished"]["finished_at"]
    assert (call["finished"]["status"], call["finished"]["cause"]) == (503, "scripted")


async def test_the_log_is_read_in_pages(upstream: MockUpstream) -> None:
    async with client_of(upstream) as client:
        for _ in range(3):
            await ask(client)
        first: Any = (await client.get("/mock/log?limit=2")).json()
        rest: Any = (await client.get(f"/mock/log?since={first['next']}")).json()
    assert ([len(first["calls"]), first["more"]], [len(rest["calls"]), rest["more"]]) == (
        [2, True],
        [1, False],
    )


async def test_a_bad_page_is_refused(upstream: MockUpstream) -> None:
    async with client_of(upstream) as client:
        assert (await client.get("/mock/log?since=yesterday")).status_code == 400


async def test_a_reset_starts_attempts_and_counts_again(upstream: MockUpstream) -> None:
    async with client_of(upstream) as client:
        assert (await ask(client, "fail=1x500")).status_code == 500
        assert (await ask(client, "fail=1x500")).status_code == 200
        await client.post("/mock/reset")
        again = await ask(client, "fail=1x500")
        stats: Any = (await client.get("/mock/stats")).json()
    assert (again.status_code, again.headers["x-mock-seq"]) == (500, "3")
    assert (stats["received"], stats["statuses"]) == (1, {"500": 1})


async def test_only_model_calls_are_logged(upstream: MockUpstream) -> None:
    async with client_of(upstream) as client:
        assert (await client.get("/health")).json() == {"status": "ok"}
        assert (await client.get("/nowhere")).status_code == 404
        assert (await client.get("/v1/chat/completions")).status_code == 404
    assert upstream.log.calls == []


async def test_a_refused_body_is_logged_too(upstream: MockUpstream) -> None:
    async with client_of(upstream) as client:
        refused = await client.post("/v1/chat/completions", content=b"{")
    assert refused.status_code == 400
    assert json.loads(refused.content)["error"]["type"] == "invalid_request_error"
    call = upstream.log.calls[0]
    assert call.finished is not None
    assert (call.received.model, call.finished.cause) == ("", "refused")


async def test_seats_are_given_back_when_a_client_goes_away(upstream: MockUpstream) -> None:
    async with client_of(upstream) as client:
        async with client_of(upstream) as leaving:
            request = leaving.build_request(
                "POST",
                "/v1/chat/completions",
                json={**BODY, "stream": True},
                headers={"x-mock-script": "concurrency=1;fault=stall_after"},
            )
            response = await leaving.send(request, stream=True)
            refused = await ask(client, "concurrency=1")
            await response.aclose()
        await eventually(lambda: upstream.stats.in_flight == 0)
        assert (await ask(client, "concurrency=1")).status_code == 200
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
