"""Each exchange is counted by how it ended, also that of a repeat which only reads what the first one got."""

import json
from typing import Any

import pytest

from headrace.schemas.records import RequestRecord
from headrace.schemas.replies import Reply
from support.answering import answered, chunked
from support.asking import BODY, CHUNKS, DONE
from support.eventually import eventually
from support.jobs import Pair, PairUp, submitted

JSON = {"content-type": "application/json"}
PLAIN = json.dumps(BODY).encode()
STREAM = json.dumps(BODY | {"stream": True}).encode()


def answer(request: RequestRecord) -> list[Reply]:
    if not request.stream:
        return [answered(request, b"{}")]
    whole = b"".join(CHUNKS) + DONE
    fields: dict[str, Any] = {"whole": True, "content_type": b"text/event-stream"}
    return [
        *chunked(request, *CHUNKS),
        answered(request, whole, seq=len(CHUNKS) + 1, **fields),
    ]


def count(pair: Pair, replica: int, outcome: str) -> float:
    registry = pair.ingresses[replica]._metrics.registry
    (found,) = [one for one in registry.collect() if one.name == "headrace_requests"]
    return sum(s.value for s in found.samples if s.labels["outcome"] == outcome)


@pytest.mark.parametrize("body", [PLAIN, STREAM], ids=["plain", "stream"])
async def test_a_repeat_that_attaches_is_counted_where_it_came(
    pair_up: PairUp, body: bytes
) -> None:
    pair = await pair_up(answer)
    keyed = JSON | {"idempotency-key": "k"}
    first = await pair.first.post("/v1/chat/completions", content=body, headers=keyed)
    again = await pair.second.post("/v1/chat/completions", content=body, headers=keyed)
    assert again.content == first.content
    assert again.headers["idempotency-replayed"] == "true"
    await eventually(lambda: count(pair, 1, "completed") == 1)
    assert count(pair, 0, "completed") == 1


async def test_a_job_and_its_repeat_are_counted_as_accepted(pair_up: PairUp) -> None:
    pair = await pair_up(answer)
    keyed = JSON | {"idempotency-key": "k"}
    for client in (pair.first, pair.second):
        told = await client.post("/v1/jobs", content=submitted(PLAIN), headers=keyed)
        assert told.status_code == 202
    await eventually(lambda: count(pair, 1, "accepted") == 1)
    assert count(pair, 0, "accepted") == 1
