"""Health, metrics, logs, and the order of shutting down."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from headrace.cli.localkafka import free_ports
from headrace.ingress.hot import HOT
from support.answering import Answers, answered
from support.eventually import eventually
from support.serving import MODEL, ingress_config, serving

PATH = "/v1/chat/completions"
BODY = {"model": MODEL, "messages": [{"role": "user", "content": "a secret prompt"}]}


async def test_health_is_told_on_every_path_that_is_asked_for(stand_up: Any, echo: Answers) -> None:
    stand = await stand_up(echo)
    for path in ("/livez", "/readyz", "/startupz", "/health/liveliness", "/health/readiness"):
        response = await stand.http.get(path)
        assert (response.status_code, response.json()["status"]) == (200, "ok")

    async def all_ok() -> bool:
        checks = (await stand.http.get("/readyz?verbose")).json()["checks"]
        return bool(checks == {"kafka": "ok", "index": "ok"})

    await eventually(all_ok)


async def test_the_api_description_names_the_routes_that_never_reach_the_framework(
    stand_up: Any, echo: Answers
) -> None:
    stand = await stand_up(echo)
    paths = (await stand.http.get("/openapi.json")).json()["paths"]
    assert set(HOT) | {"/v1/models", "/livez", "/readyz"} <= set(paths)
    assert set(paths["/v1/jobs/{id}"]) == {"get", "delete"}
    assert {"/v1/jobs", "/v1/jobs/{id}/events"} <= set(paths)


async def test_requests_are_counted_and_nothing_of_them_is_shown(
    stand_up: Any, echo: Answers, capsys: pytest.CaptureFixture[str]
) -> None:
    (port,) = free_ports(1)
    stand = await stand_up(echo, ingress={"metrics_listen": f"127.0.0.1:{port}"})
    await stand.http.post(PATH, json=BODY)
    await stand.http.post(PATH, json=BODY | {"model": "a secret model"})
    metrics = (await stand.http.get(f"http://127.0.0.1:{port}/metrics")).text
    for line in (
        'headrace_requests_total{lane="standard",model="small",outcome="completed"} 1.0',
        'headrace_refusals_total{code="model_not_found"} 1.0',
        'headrace_request_duration_seconds_count{lane="standard"} 1.0',
        "headrace_inflight_requests 0.0",
        "headrace_duplicates_dropped_total 0.0",
    ):
        assert line in metrics
    assert "secret" not in metrics
    assert "secret" not in capsys.readouterr().out


async def test_a_second_final_is_dropped_and_counted(stand_up: Any) -> None:
    (port,) = free_ports(1)
    stand = await stand_up(
        lambda request: [answered(request, b"{}"), answered(request, b"[]", attempt=2)],
        ingress={"metrics_listen": f"127.0.0.1:{port}"},
    )
    assert (await stand.http.post(PATH, json=BODY)).content == b"{}"

    async def counted() -> bool:
        metrics = await stand.http.get(f"http://127.0.0.1:{port}/metrics")
        return "headrace_duplicates_dropped_total 1.0" in metrics.text

    await eventually(counted)


async def test_shutting_down_lets_who_waits_finish_and_refuses_who_comes(
    stand_up: Any,
) -> None:
    stand = await stand_up(lambda _: [])
    waiting = asyncio.create_task(stand.http.post(PATH, json=BODY))
    await eventually(lambda: stand.dispatcher.requests)
    leaving = asyncio.create_task(stand.ingress.__aexit__(None, None, None))

    async def refused() -> httpx.Response | None:
        response: httpx.Response = await stand.http.post(PATH, json=BODY)
        return response if response.status_code == 503 else None

    response = await eventually(refused)
    assert response is not None
    assert response.json()["error"]["code"] == "shutting_down"
    assert (await stand.http.get("/readyz")).json()["status"] == "shutting_down"
    request = stand.dispatcher.requests[0]
    await stand.dispatcher.say(request, [answered(request, b"{}")])
    assert (await waiting).status_code == 200
    await leaving
    with pytest.raises(httpx.ConnectError):
        await stand.http.get("/livez")


async def test_who_still_waits_at_the_end_of_the_grace_is_told_and_cancelled(stand_up: Any) -> None:
    stand = await stand_up(lambda _: [], ingress={"drain_s": 2, "keepalive_s": 0.1})
    waiting = asyncio.create_task(stand.http.post(PATH, json=BODY))
    streaming = asyncio.create_task(stand.http.post(PATH, json=BODY | {"stream": True}))
    await eventually(lambda: len(stand.dispatcher.requests) == 2)
    await stand.ingress.__aexit__(None, None, None)
    assert (await waiting).json()["error"]["code"] == "shutting_down"
    last = [line for line in (await streaming).text.splitlines() if line][-1]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "shutting_down"
    await eventually(lambda: len(stand.dispatcher.cancelled) == 2)


async def test_a_taken_address_is_a_loud_failure() -> None:
    async with serving(ingress_config("127.0.0.1:1", "x.")) as first:
        config = ingress_config("127.0.0.1:1", "x.", ingress={"listen": f"127.0.0.1:{first.port}"})
        with pytest.raises(OSError, match="in use"):
            async with serving(config):
                pass


async def test_the_process_ends_in_order_on_sigterm(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    config = ingress_config("127.0.0.1:1", "x.", ingress={"listen": f"127.0.0.1:{port}"})
    file = tmp_path / "headrace.json"  # JSON is YAML
    file.write_text(config.model_dump_json(exclude_defaults=True))
    program = "import sys, pathlib, headrace.ingress.app as app; app.run(pathlib.Path(sys.argv[1]))"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(file), stdout=asyncio.subprocess.PIPE
    )
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:

        async def alive() -> bool:
            try:
                return (await http.get("/livez")).status_code == 200
            except httpx.TransportError:
                return False

        await eventually(alive)
        assert (await http.get("/readyz")).status_code == 503
    process.terminate()
    output, _ = await process.communicate()
    assert process.returncode == 0
    events = [json.loads(line)["event"] for line in output.splitlines()]
    # Others may tell in between that Kafka is away.
    ours = [event for event in events if event.startswith("ingress_")]
    assert ours == ["ingress_started", "ingress_draining", "ingress_stopped"]
    assert events[0] == ours[0]
    assert events[-1] == ours[-1]
