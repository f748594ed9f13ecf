"""A request that waits holds no body: thousands wait for minutes, and one body may be megabytes."""

import asyncio
import json
import sys
from typing import Any

import pytest

from headrace.ingress import admission
from headrace.schemas.records import RequestRecord
from support.asking import BODY
from support.eventually import eventually
from support.jobs import ready

LARGE = json.dumps(BODY | {"user": "x" * 1_000_000}).encode()
STREAM = json.dumps(BODY | {"user": "x" * 1_000_000, "stream": True}).encode()
KEYED = {"idempotency-key": "k"}
ASKED: list[tuple[bytes, dict[str, str]]] = [
    (LARGE, {}),
    (STREAM, {}),
    (LARGE, {"x-stainless-retry-count": "0"}),
    (LARGE, {"headrace-resume": "true"}),
    (LARGE, KEYED),
]


@pytest.fixture
def bodies(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The bodies of all requests, as the records have them that handlers work with."""
    found: list[bytes] = []
    admit = admission.admit

    def noting(*told: Any, **named: Any) -> Any:
        record = admit(*told, **named)
        assert isinstance(record, RequestRecord)
        found.append(record.body)
        return record

    monkeypatch.setattr(admission, "admit", noting)
    return found


def held(bodies: list[bytes]) -> bool:
    """Whether anything but this list refers to one of them."""
    return any(sys.getrefcount(bodies[at]) > 2 for at in range(len(bodies)))


async def test_clients_that_wait_hold_no_bodies(stand_up: Any, bodies: list[bytes]) -> None:
    stand = await stand_up(lambda _: [])
    await eventually(lambda: ready(stand.http))

    def ask(body: bytes, headers: dict[str, str]) -> asyncio.Task[Any]:
        headers = {"content-type": "application/json"} | headers
        return asyncio.create_task(
            stand.http.post("/v1/chat/completions", content=body, headers=headers)
        )

    asking = [ask(*one) for one in ASKED]
    await eventually(lambda: len(stand.dispatcher.requests) == len(ASKED))
    asking.append(ask(LARGE, KEYED))  # waits with the first of its key
    await eventually(lambda: len(bodies) == len(asking))
    await eventually(lambda: not held(bodies))
    assert not any(task.done() for task in asking)
    written = sorted(request.body for request in stand.dispatcher.requests)
    assert written == sorted(body for body, _ in ASKED)
    for task in asking:
        task.cancel()
