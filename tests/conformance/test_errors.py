"""Each error that the upstream can give reaches the official client unchanged."""

from typing import Any, NamedTuple

import openai
import pytest

from headrace.cli.mock.errors import CODES, STATUSES
from support.official import Pair

pytestmark = pytest.mark.asyncio(loop_scope="session")

MESSAGES: Any = [{"role": "user", "content": "What can go wrong?"}]
HINTS = ("retry-after", "retry-after-ms", "x-should-retry")
SCRIPTS = {
    **{f"{status}": f"status={status}" for status in STATUSES},
    **{f"429 {code}": f"status=429;code={code}" for code in CODES},
    "400 context_length_exceeded": "status=400;code=context_length_exceeded",
    "503 slow_down": "status=503;code=slow_down",
    "429 after milliseconds": "status=429;retry_after_ms=60000",
    "429 with a date": "status=429;retry_after=date+60",
    "429 with a huge wait": "status=429;retry_after=1000000000",
    "500 not to be retried": "status=500;should_retry=false",
}
"""What is throttled asks for more time than there is, so that the upstream's word is the last."""
THROTTLED = ("429", "503", "529")
DEADLINE_S = "20"


class Seen(NamedTuple):
    """What a client tells of an error."""

    kind: type[openai.APIStatusError]
    status: int
    body: bytes
    words: tuple[str | None, ...]
    hints: dict[str, str]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("name", SCRIPTS)
async def test_an_error_equals_the_direct_one(pair: Pair, name: str, stream: bool) -> None:
    script = SCRIPTS[name]
    if name.startswith(THROTTLED) and "retry_after" not in script:
        script += ";retry_after=60"
    through, direct = [await seen(client, script, stream=stream) for client in pair]
    assert through == direct
    assert direct.status == int(name[:3])


async def seen(client: openai.AsyncOpenAI, script: str, *, stream: bool) -> Seen:
    """The error that `script` brings."""
    with pytest.raises(openai.APIStatusError) as raised:
        await client.chat.completions.create(
            model="once",
            messages=MESSAGES,
            user=script,
            stream=stream,
            extra_headers={"headrace-timeout": DEADLINE_S},
        )
    error = raised.value
    headers = error.response.headers
    return Seen(
        type(error),
        error.status_code,
        error.response.content,
        (error.code, error.type, error.param, error.message),
        {name: headers[name] for name in HINTS if name in headers},
    )


@pytest.mark.parametrize("fault", ["reset", "close", "cut", "fin"])
async def test_an_answer_that_never_came_whole_is_an_error(pair: Pair, fault: str) -> None:
    with pytest.raises(openai.InternalServerError) as raised:
        await pair.through.chat.completions.create(
            model="once", messages=MESSAGES, user=f"fault={fault}"
        )
    assert raised.value.status_code == 502
    assert raised.value.response.headers["x-should-retry"] == "false"


async def test_an_answer_that_stalls_is_a_gateway_timeout(pair: Pair) -> None:
    with pytest.raises(openai.InternalServerError) as raised:
        await pair.through.chat.completions.create(
            model="once", messages=MESSAGES, user="fault=stall_after"
        )
    assert (raised.value.status_code, raised.value.code) == (504, "upstream_timeout")


@pytest.mark.parametrize("fault", ["malformed", "bad_utf8", "truncate", "error_event"])
async def test_a_whole_answer_that_is_odd_is_passed_on_as_it_is(pair: Pair, fault: str) -> None:
    bodies = []
    for client in pair:
        raw = await client.chat.completions.with_raw_response.create(
            model="once", messages=MESSAGES, user=f"fault={fault}"
        )
        bodies.append((raw.status_code, raw.content))
    assert bodies[0] == bodies[1]
