"""Bad input is a 4xx in the API's shape with a stable code, and nothing is produced."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest

from headrace.schemas import keys
from headrace.schemas.names import Tenant
from support.answering import Answers, answered
from support.asking import raw_request
from support.eventually import eventually
from support.serving import MODEL, url

GOOD = json.dumps({"model": MODEL}).encode()
JSON = {"content-type": "application/json"}
PATH = "/v1/chat/completions"


async def in_pieces(body: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(body), 65_536):
        yield body[at : at + 65_536]


CASES: list[tuple[str, dict[str, Any], int, str]] = [
    ("malformed JSON", {"content": b'{"model":'}, 400, "invalid_json"),
    ("no object", {"content": b"[]"}, 400, "invalid_json"),
    (
        "a wrong content type",
        {"content": GOOD, "headers": {"content-type": "text/plain"}},
        415,
        "invalid_content_type",
    ),
    ("no model", {"content": b"{}"}, 400, "model_required"),
    ("an unknown model", {"content": b'{"model":"big"}'}, 404, "model_not_found"),
    (
        "an unknown lane",
        {"content": GOOD, "headers": JSON | {"headrace-lane": "x"}},
        400,
        "unknown_lane",
    ),
    (
        "a past deadline",
        {"content": GOOD, "headers": JSON | {"headrace-deadline-ms": "1"}},
        400,
        "invalid_deadline",
    ),
    (
        "an absurd timeout",
        {"content": GOOD, "headers": JSON | {"headrace-timeout": "1e99"}},
        400,
        "invalid_deadline",
    ),
    ("a body too large, declared", {"content": b"x" * 5_000_000}, 413, "record_too_large"),
    (
        "a body too large, chunked",
        {"content": lambda: in_pieces(b"x" * 5_000_000)},
        413,
        "record_too_large",
    ),
    ("10 MB of nesting, declared", {"content": b"[" * 10_000_000}, 413, "record_too_large"),
    (
        "10 MB of nesting, chunked",
        {"content": lambda: in_pieces(b"[" * 10_000_000)},
        413,
        "record_too_large",
    ),
    ("nesting below the limit", {"content": b"[" * 3_900_000}, 400, "invalid_json"),
]


async def test_each_kind_of_bad_request_has_its_code_and_reaches_nobody(
    stand_up: Any, echo: Answers
) -> None:
    stand = await stand_up(echo)
    for name, request, status, code in CASES:
        content = request["content"]
        response = await stand.http.post(
            PATH,
            content=content() if callable(content) else content,
            headers=request.get("headers", JSON),
        )
        error = response.json()["error"]
        assert (response.status_code, error["code"]) == (status, code), name
        assert set(error) == {"message", "type", "param", "code"}
        assert response.headers["x-should-retry"] == "false"
        assert response.headers["x-request-id"]
    await stand.http.post(PATH, content=GOOD, headers=JSON)
    assert [request.body for request in stand.dispatcher.requests] == [GOOD]


@pytest.mark.parametrize(
    "header", [b"headrace-lane: a\x01b", b"headrace-lane: a\x00b", b"head race: x"]
)
async def test_a_header_with_control_characters_is_refused_in_the_apis_shape(
    stand_up: Any, echo: Answers, header: bytes
) -> None:
    stand = await stand_up(echo)
    reader, writer = await asyncio.open_connection("127.0.0.1", stand.ingress.port)
    writer.write(
        b"POST %b HTTP/1.1\r\nhost: x\r\n%b\r\ncontent-length: 2\r\n\r\n{}"
        % (PATH.encode(), header)
    )
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 400")
    assert json.loads(body)["error"]["code"] == "invalid_header"
    assert not stand.dispatcher.requests


def exchanged(port: int, request: bytes, before: bytes = b"") -> bytes:
    """All that comes back for raw bytes until the server closes the connection, soon or in their midst.

    `before` is a request that is answered with JSON before the others are sent.
    """
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(before)
        while before and not answer.endswith(b"}"):
            part = connection.recv(65_536)
            assert part, f"the connection was closed after {answer!r}"
            answer += part
        with contextlib.suppress(ConnectionError):
            connection.sendall(request)
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(65_536):
                answer += part
    return answer


LINE = b"POST %b HTTP/1.1\r\nhost: x\r\n" % PATH.encode()
CHUNKED = LINE + b"content-type: application/json\r\ntransfer-encoding: chunked\r\n"


LONG, LONGER = 128 * 1024, 384 * 1024
"""Of which a part may be read together with what stands before it, and is not counted then."""


@pytest.mark.parametrize(
    ("before", "begun", "size"),
    [
        (b"", LINE + b"x-long: ", LONG),
        (b"", LINE + b"x-long: ", 1024 * 1024),
        (b"", LINE + b"x-short: 1\r\n" * 2_000 + b"x-long: ", LONG),
        (b"", b"GET /", LONG),
        (b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n", b"GET /", LONG),
        (b"", CHUNKED + b"\r\n2\r\n{}\r\n0\r\nx-trailer: ", LONGER),
    ],
    ids=["value", "megabyte", "headers", "path", "second", "trailer"],
)
async def test_a_head_without_an_end_is_refused_in_the_apis_shape(
    stand_up: Any, echo: Answers, before: bytes, begun: bytes, size: int
) -> None:
    stand = await stand_up(echo)
    endless = begun + b"x" * (size - len(begun))
    answers = await asyncio.to_thread(exchanged, stand.ingress.port, endless, before)
    head, _, body = answers[answers.rindex(b"HTTP/1.1 ") :].partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    error = json.loads(body)["error"]
    assert (error["code"], "longer than 65536 bytes" in error["message"]) == (
        "invalid_header",
        True,
    )
    assert (await stand.http.get("/livez")).status_code == 200
    assert not stand.dispatcher.requests


async def test_a_long_head_that_comes_at_once_is_refused_and_its_body_not_read(
    stand_up: Any, echo: Answers
) -> None:
    stand = await stand_up(echo)
    head = LINE + b"content-type: application/json\r\ncontent-length: %d\r\n" % len(GOOD)
    request = head + b"x-long: %b\r\n\r\n" % (b"x" * 70_000) + GOOD
    assert (await asyncio.to_thread(exchanged, stand.ingress.port, request)).count(
        b"HTTP/1.1 "
    ) == 1
    assert not stand.dispatcher.requests


async def test_long_bodies_and_pipelined_requests_are_no_long_heads(
    stand_up: Any, echo: Answers
) -> None:
    stand = await stand_up(echo)
    body = json.dumps({"model": MODEL, "user": "x" * 300_000}).encode()
    pieces = b"".join(b"%x\r\n%b\r\n" % (1, body[at : at + 1]) for at in range(len(body)))
    longest = b"x-long: %b\r\n" % (b"x" * 60_000)
    chunked = CHUNKED + longest + b"\r\n" + pieces + b"0\r\nx-trailer: 1\r\n\r\n"
    counted = (
        LINE + longest + b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body)
    )
    last = counted + b"connection: close\r\n\r\n" + body
    whole = chunked + counted + b"\r\n" + body + last
    answers = await asyncio.to_thread(exchanged, stand.ingress.port, whole)
    assert answers.count(b"HTTP/1.1 200 OK") == 3
    assert [request.body for request in stand.dispatcher.requests] == [body] * 3


async def test_a_pipelined_head_without_an_end_does_not_get_into_the_answer_before_it(
    stand_up: Any,
) -> None:
    stand = await stand_up(lambda _: [])
    endless = raw_request(GOOD) + b"GET /" + b"x" * LONGER
    assert await asyncio.to_thread(exchanged, stand.ingress.port, endless) == b""
    await eventually(lambda: stand.dispatcher.cancelled)


async def test_unknown_paths_and_methods_have_the_apis_shape(stand_up: Any, echo: Answers) -> None:
    stand = await stand_up(echo)
    cases = [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", PATH, 405, "method_not_allowed"),
        ("POST", "/v1/models", 405, "method_not_allowed"),
        ("GET", "/v1/models/big", 404, "model_not_found"),
    ]
    for method, path, status, code in cases:
        response = await stand.http.request(method, path)
        assert (response.status_code, response.json()["error"]["code"]) == (status, code)
        if status == 405:
            assert response.headers["allow"]


async def test_the_openai_client_raises_its_own_error_classes(stand_up: Any, echo: Answers) -> None:
    stand = await stand_up(echo)
    async with openai.AsyncOpenAI(
        base_url=url(stand.ingress, "/v1"), api_key="x", max_retries=0
    ) as client:
        with pytest.raises(openai.NotFoundError):
            await client.chat.completions.create(model="big", messages=[])
        with pytest.raises(openai.BadRequestError):
            await client.chat.completions.create(
                model=MODEL, messages=[], extra_headers={"headrace-lane": "x"}
            )


PEPPER = "pepper"
KEY = keys.mint(Tenant("acme"), b"k" * keys.RANDOM_BYTES)


async def test_with_keys_only_a_known_key_is_served_and_its_tenant_is_on_the_record(
    stand_up: Any, echo: Answers
) -> None:
    stand = await stand_up(
        echo,
        auth={"mode": "keys", "pepper": PEPPER},
        tenants={"acme": {"lanes": ["standard"], "keys": [keys.digest(KEY, PEPPER)]}},
    )

    async def ask(key: str, **headers: str) -> httpx.Response:
        response: httpx.Response = await stand.http.post(
            PATH, content=GOOD, headers=JSON | {"authorization": f"Bearer {key}"} | headers
        )
        return response

    assert (await stand.http.get("/v1/models")).status_code == 401
    assert (await ask("hr_acme_wrong")).status_code == 401
    assert (await ask(KEY, **{"headrace-lane": "interactive"})).status_code == 403
    assert not stand.dispatcher.requests
    assert (await ask(KEY)).status_code == 200
    assert stand.dispatcher.requests[0].tenant == "acme"
    assert KEY not in repr(stand.dispatcher.requests)


async def test_each_request_of_a_connection_shows_its_own_key(stand_up: Any) -> None:
    """Whose key was accepted is kept with the connection, and counts for no other key."""
    pepper = "p" * 32
    names = ("acme", "other")
    shown = {name: keys.mint(Tenant(name), b"k" * keys.RANDOM_BYTES) for name in names}
    stand = await stand_up(
        lambda request: [answered(request, request.tenant.encode())],
        auth={"mode": "keys", "pepper": pepper},
        tenants={name: {"keys": [keys.digest(key, pepper)]} for name, key in shown.items()},
    )

    async def ask(key: str) -> tuple[int, str]:
        headers = JSON | ({"authorization": f"Bearer {key}"} if key else {})
        response = await client.post(PATH, content=GOOD, headers=headers)
        return response.status_code, response.text if response.status_code == 200 else ""

    one = httpx.Limits(max_connections=1)
    async with httpx.AsyncClient(base_url=url(stand.ingress), timeout=60, limits=one) as client:
        assert await ask(shown["acme"]) == (200, "acme")
        assert await ask(shown["acme"]) == (200, "acme")
        assert await ask(shown["acme"][:-1]) == (401, "")
        assert await ask("") == (401, "")
        assert await ask(shown["other"]) == (200, "other")
        assert await ask(shown["acme"]) == (200, "acme")
