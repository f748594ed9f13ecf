"""Bad input is a 4xx in the API's shape with a stable code, and nothing is produced."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest

from headrace.schemas import keys
from headrace.schemas.names import Tenant
from support.answering import Answers
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
