"""The error catalogue, and what the official client makes of each entry."""

import json
from http import HTTPStatus
from typing import Any

import httpx2
import openai
import pytest

from headrace.schemas.errors import CATALOGUE, QUOTED_BYTES, Code, error_body, error_event

CLASSES: dict[int, type[openai.APIStatusError]] = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    409: openai.ConflictError,
    422: openai.UnprocessableEntityError,
    429: openai.RateLimitError,
}


def raised(code: Code) -> openai.APIStatusError:
    """The exception of the official client for an answer with `code`."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(CATALOGUE[code].status, content=error_body(code, "no luck", "model"))

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    client = openai.OpenAI(
        api_key="k", base_url="http://127.0.0.1:1/v1", http_client=http, max_retries=0
    )
    with pytest.raises(openai.APIStatusError) as caught, client:
        client.models.list()
    return caught.value


def test_every_code_is_in_the_catalogue() -> None:
    assert set(CATALOGUE) == set(Code)


@pytest.mark.parametrize("code", Code)
def test_the_official_client_raises_the_class_of_the_status(code: Code) -> None:
    error = raised(code)
    status = CATALOGUE[code].status
    expected = openai.InternalServerError if status >= 500 else openai.APIStatusError
    assert type(error) is CLASSES.get(status, expected)
    assert (error.code, error.param, error.type) == (code, "model", CATALOGUE[code].openai_type)


@pytest.mark.parametrize("code", Code)
def test_the_message_and_advice_are_there(code: Code) -> None:
    assert json.loads(error_body(code, "no luck"))["error"]["message"] == "no luck"
    assert CATALOGUE[code].what_to_do.endswith(".")


@pytest.mark.parametrize("code", Code)
def test_a_fault_of_the_caller_is_not_retried(code: Code) -> None:
    spec = CATALOGUE[code]
    if 400 <= spec.status < 500 and spec.status != HTTPStatus.TOO_MANY_REQUESTS:
        assert not spec.retryable


def told(body: bytes, status: int = 400) -> dict[str, Any]:
    """The error that a reader finds in the event made of `body`."""
    event = error_event(body, status)
    assert event.startswith(b"data: {")
    assert event.endswith(b"\n\n")
    assert (event.count(b"\n"), event.count(b"\r")) == (2, 0)
    found: dict[str, Any] = json.loads(event.removeprefix(b"data: "))["error"]
    return found


def test_an_error_in_a_stream_is_one_event() -> None:
    error = told(error_body(Code.UPSTREAM_STREAM_BROKEN, "two\nlines"))
    assert (error["code"], error["message"]) == ("upstream_stream_broken", "two\nlines")


def test_an_error_in_a_stream_is_passed_on_as_its_upstream_wrote_it() -> None:
    body = b'{"error":{"message":"no \\u2028 luck","n":123456789012345678901.50}}'
    assert error_event(body, 400) == b"data: " + body + b"\n\n"


@pytest.mark.parametrize("line", ["\n", "\r\n"])
def test_an_indented_error_in_a_stream_is_put_on_one_line(line: str) -> None:
    error = {"message": "too many tokens", "code": "context_length_exceeded"}
    body = json.dumps({"error": error}, indent=2).replace("\n", line)
    assert told(body.encode()) == error


@pytest.mark.parametrize(
    ("body", "quoted"),
    [
        (b"", "nothing"),
        (b" \r\n", "nothing"),
        (b"<html>\n<h1>Bad Gateway</h1>\n</html>", "<html> <h1>Bad Gateway</h1> </html>"),
        (b'{\n"detail": "no luck"}', '{ "detail": "no luck"}'),
        (b'{"error":null}', '{"error":null}'),
        (b'["no luck"]', '["no luck"]'),
        (b'{"error":"\xff"}', '{"error":"\ufffd"}'),
        (b'{"error":' * 5_000, ('{"error":' * 5_000)[:QUOTED_BYTES]),
    ],
)
def test_an_answer_without_an_error_is_quoted_in_one_of_ours(body: bytes, quoted: str) -> None:
    error = told(body, 502)
    assert error["code"] == "upstream_stream_broken"
    assert error["message"] == f"The upstream answered with status 502: {quoted}"
