"""Failures that pass by themselves, throttling that asks for time, and what never succeeds."""

import json

import pytest

from headrace.schemas.headers import H
from support.call_log import waits_ms
from support.http_client import Client
from support.installation import Installation, Record, chat, header

pytestmark = pytest.mark.asyncio(loop_scope="session")

CLOCK_MS = 2
"""Two readings of a clock in whole milliseconds may hide so much."""
ODD_HEADERS = [
    ("x-trace", b"one"),
    ("x-trace", b"two"),
    ("x-bytes", b"\x00\xff\xfe"),
    ("ce_id", b"odd-headers"),
    ("x-empty", b""),
]


async def letters(running: Installation, request_id: str) -> list[Record]:
    """Dead letters of one request."""
    every = await running.dump(running.topics.dead_letters)
    return [record for record in every if header(record, "ce_id") == request_id.encode()]


async def test_a_throttled_request_waits_in_the_delay_topic_and_is_never_early(
    running: Installation, client: Client
) -> None:
    body = chat("wait", model="small", user="fail=1x429;retry_after=3")
    answer = await client.ask(body)
    (wait_ms,) = waits_ms(running.calls(answer.id))
    delayed = await running.dump(running.topics.delay("standard", "1s"))
    mine = [record for record in delayed if header(record, "ce_id") == answer.id.encode()]
    assert answer.status == 200
    assert wait_ms >= 3_000 - CLOCK_MS
    assert mine
    assert {record.value for record in mine} == {body}
    assert len({header(record, H.DUE_MS.value) for record in mine}) == 1


async def test_throttling_uses_up_no_attempt(running: Installation, client: Client) -> None:
    script = "fail=3x429;retry_after_ms=100"
    answer = await client.ask(chat("patience", model="small", user=script))
    waits = waits_ms(running.calls(answer.id))
    assert answer.status == 200
    assert len(waits) == 3
    assert min(waits) >= 100 - CLOCK_MS


@pytest.mark.parametrize("failures", ["2x500", "1x503+1x502", "1xreset+1xcut", "1x408+1x409"])
async def test_a_failure_that_passes_is_not_seen_by_the_client(
    running: Installation, client: Client, failures: str
) -> None:
    answer = await client.ask(chat(failures, model="small", user=f"fail={failures}"))
    assert answer.status == 200
    assert len(running.calls(answer.id)) == 3


async def test_what_keeps_failing_is_called_three_times_and_kept_as_a_dead_letter(
    running: Installation, client: Client
) -> None:
    body = chat("never", model="small", user="status=500")
    answer = await client.ask(body)
    async with Client(running.upstream_url) as upstream:
        direct = await upstream.ask(body)
    lane = await running.dump(running.topics.requests("standard"))
    (first,) = [record for record in lane if header(record, "ce_id") == answer.id.encode()]
    (letter,) = await letters(running, answer.id)
    assert (answer.status, answer.body) == (direct.status, direct.body)
    assert len(running.calls(answer.id)) == 3
    assert_complete(letter, first)
    history = json.loads(header(letter, H.HISTORY.value) or b"[]")
    assert [(number, status) for number, _, _, status, *_ in history] == [
        (1, 500),
        (2, 500),
        (3, 500),
    ]
    assert {deployment for _, _, deployment, *_ in history} == {"small"}


async def test_a_dead_letter_that_came_by_the_delay_topics_tells_its_first_place(
    running: Installation, client: Client
) -> None:
    script = "fail=1x429+3x500;retry_after_ms=2200"
    answer = await client.ask(chat("long way", model="small", user=script))
    lane = await running.dump(running.topics.requests("standard"))
    (first,) = [record for record in lane if header(record, "ce_id") == answer.id.encode()]
    (letter,) = await letters(running, answer.id)
    assert answer.status == 500
    assert min(waits_ms(running.calls(answer.id))) >= 2_200 - CLOCK_MS
    assert_complete(letter, first)
    history = json.loads(header(letter, H.HISTORY.value) or b"[]")
    assert [status for _, _, _, status, *_ in history] == [429, 500, 500, 500]


async def test_a_producers_own_headers_stay_as_they_are(running: Installation) -> None:
    lane = running.topics.requests("batch")
    body = chat("by kafka", model="small", user="status=500")
    await running.produce(lane, body, key=b"\x00key", headers=ODD_HEADERS, partition=3)
    (letter,) = await running.read_matching(
        running.topics.dead_letters, lambda record: record.key == b"odd-headers"
    )
    (first,) = [record for record in await running.dump(lane) if record.partition == 3]
    assert list(first.headers) == ODD_HEADERS
    assert_complete(letter, first)


def assert_complete(letter: Record, first: Record) -> None:
    """Value, headers and key byte for byte, and where the record stood."""
    assert letter.value == first.value
    assert letter.headers[: len(first.headers)] == first.headers
    assert header(letter, H.SOURCE_KEY.value) == first.key
    assert header(letter, H.REASON.value) == b"attempts_exhausted"
    assert header(letter, H.SOURCE_TOPIC.value) == first.topic.encode()
    assert header(letter, H.SOURCE_PARTITION.value) == b"%d" % first.partition
    assert header(letter, H.SOURCE_OFFSET.value) == b"%d" % first.offset
