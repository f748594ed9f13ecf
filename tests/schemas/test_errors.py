"""The error catalogue, and what the official client makes of each entry."""

import json
from http import HTTPStatus

import httpx2
import openai
import pytest

from headrace.schemas.errors import CATALOGUE, Code, error_body, error_event

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


def test_an_error_in_a_stream_is_one_event() -> None:
    event = error_event(error_body(Code.UPSTREAM_STREAM_BROKEN, "two\nlines"))
    assert event.startswith(b"data: {")
    assert event.count(b"\n") == 2
    assert event.endswith(b"\n\n")
