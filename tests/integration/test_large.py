"""Long requests and long answers."""

import json

import pytest

from support.http_client import Client
from support.installation import Installation, chat, header

pytestmark = pytest.mark.asyncio(loop_scope="session")

MAX_BODY = 4_000_000


async def ask_both(running: Installation, body: bytes) -> tuple[bytes, bytes]:
    """The answer through Headrace, and the direct one."""
    answers = []
    for url in (running.url, running.upstream_url):
        async with Client(url) as client:
            answer = await client.ask(body)
        assert answer.status == 200, answer.body[:300]
        answers.append(answer.body)
    return answers[0], answers[1]


@pytest.mark.parametrize("size", [500_000, 6_000_000])
async def test_an_answer_of_many_bytes_equals_the_direct_one(
    running: Installation, size: int
) -> None:
    body = chat(f"long answer {size}", user=f"fault=huge_line;huge_bytes={size}")
    through, direct = await ask_both(running, body)
    assert len(direct) > size
    assert through == direct


async def test_an_answer_longer_than_a_record_travels_in_parts(running: Installation) -> None:
    body = chat("in parts", user="fault=huge_line;huge_bytes=5000000")
    async with Client(running.url) as client:
        answer = await client.ask(body)
    replies = await running.dump(running.topics.replies)
    mine = [record for record in replies if header(record, "ce_id") == answer.id.encode()]
    assert [header(record, "headrace-part") for record in mine] == [
        b"%d/10" % number for number in range(1, 11)
    ]
    assert b"".join(record.value or b"" for record in mine) == answer.body


async def test_a_stream_of_megabytes_equals_the_direct_one(running: Installation) -> None:
    through, direct = await ask_both(running, chat("flow", stream=True, user="tokens=20000"))
    assert len(direct) > 2_000_000
    # A machine that is busy lets it wait for so long that it is told so.
    events = [one for one in through.split(b"\n\n") if not one.startswith(b": queued")]
    same = b"\n\n".join(events) == direct  # a difference of megabytes explains nothing
    assert same


async def test_a_request_just_below_the_bound_passes(running: Installation) -> None:
    body = chat("x" * 3_900_000)
    through, direct = await ask_both(running, body)
    assert through == direct
    assert len(running.calls_with(body)) == 2


@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
async def test_a_request_above_the_bound_is_refused(
    running: Installation, client: Client, chunked: bool
) -> None:
    body = chat("x" * MAX_BODY)
    answer = await client.ask(body, chunked=chunked)
    assert answer.status == 413
    assert json.loads(answer.body)["error"]["code"] == "record_too_large"
    assert running.calls_with(body) == []
