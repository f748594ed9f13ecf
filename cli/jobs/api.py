"""The jobs API as this command speaks it. Every trouble is a `JobsError`."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote

import httpx
import msgspec

from headrace.cli.jobs.errors import JobsError, Refused, Unreachable, error_for
from headrace.schemas.config.address import on_loopback

TIMEOUT_S = 30.0
WAIT_S = 60
"""Longest wait that one request asks for."""
_LINE_END = re.compile(rb"\r\n|\r|\n")
QUIET_S = 60.0
"""An event stream says something more often than this, or the connection is dead."""


class JobError(msgspec.Struct):
    """The error that a job ended with."""

    message: str
    code: str


class Job(msgspec.Struct):
    """What is shown of a job."""

    id: str
    state: str
    kind: str
    endpoint: str
    model: str
    lane: str
    attempts: int
    accepted_ms: int
    deadline_ms: int
    updated_ms: int
    upstream: str | None = None
    error: JobError | None = None
    response: msgspec.Raw = msgspec.Raw(b"null")


@dataclass(frozen=True)
class Event:
    """One event of a stream; `name` is `message` where it has none."""

    id: str
    name: str
    data: str


class JobsApi:
    """`url` is the ingress without `/v1`. A context manager."""

    def __init__(self, url: str, api_key: str | None) -> None:
        headers = {} if api_key is None else {"authorization": f"Bearer {api_key}"}
        self._http = httpx.Client(
            base_url=url, headers=headers, timeout=TIMEOUT_S, trust_env=not on_loopback(url)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, job_id: str, wait_s: int = 0) -> bytes:
        """The job as JSON. Raises `JobsError`."""
        return self._ask("GET", job_id, {"wait": str(wait_s)} if wait_s else {}, wait_s)

    def cancel(self, job_id: str) -> bytes:
        """Cancel it; the job as JSON. Raises `JobsError`."""
        return self._ask("DELETE", job_id, {}, 0)

    def events(self, job_id: str, after: str) -> Iterator[Event]:
        """Events after that id, until the stream ends. Raises `JobsError`."""
        headers = {"last-event-id": after} if after else {}
        timeout = httpx.Timeout(TIMEOUT_S, read=QUIET_S)
        with (
            _reached(),
            self._http.stream(
                "GET", f"{_path(job_id)}/events", headers=headers, timeout=timeout
            ) as response,
        ):
            if response.status_code != httpx.codes.OK:
                response.read()
                raise _refusal(response)
            yield from parsed(lines_of(response.iter_bytes()))

    def _ask(self, method: str, job_id: str, params: dict[str, str], wait_s: int) -> bytes:
        with _reached():
            response = self._http.request(
                method, _path(job_id), params=params, timeout=TIMEOUT_S + wait_s
            )
        if response.status_code != httpx.codes.OK:
            raise _refusal(response)
        return response.content


def lines_of(pieces: Iterable[bytes]) -> Iterator[str]:
    """The whole lines of a stream, which end at CR, LF or both alone: a text may hold what Unicode takes for
    the end of a line.
    """
    rest, after_cr = b"", False
    for piece in filter(None, pieces):
        new = piece.removeprefix(b"\n") if after_cr else piece
        after_cr = piece.endswith(b"\r")
        *lines, rest = _LINE_END.split(rest + new)
        for line in lines:
            yield line.decode(errors="replace")


def parsed(lines: Iterator[str]) -> Iterator[Event]:
    """The events of a stream (WHATWG HTML, server-sent events); one cut short is none."""
    fields: dict[str, list[str]] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields.setdefault(name, []).append(value.removeprefix(" "))
            continue
        if "data" in fields:
            name = fields.get("event", ["message"])[-1]
            yield Event(fields.get("id", [""])[-1], name, "\n".join(fields["data"]))
        fields = {}


def _path(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"


@contextmanager
def _reached() -> Iterator[None]:
    try:
        yield
    except httpx.HTTPError as error:
        raise Unreachable(f"{type(error).__name__}: {error}") from error
    except httpx.InvalidURL as error:
        raise Refused(f"not a URL: {error}") from error


class _Problem(msgspec.Struct):
    error: JobError


def _refusal(response: httpx.Response) -> JobsError:
    try:
        told = msgspec.json.decode(response.content, type=_Problem).error
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return error_for(response.status_code, f"HTTP {response.status_code}")
    return error_for(response.status_code, f"{told.code}: {told.message}")
