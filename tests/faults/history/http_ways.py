"""Requests over HTTP, plain and streamed, as a client library would send them; no retries."""

import asyncio
import hashlib
import io
from contextlib import AsyncExitStack
from itertools import cycle
from types import TracebackType
from typing import Self

import aiohttp
import msgspec

from faults.history.events import Began, End, Fail, Invoke, Ok, Seen, Unknown, Way
from faults.history.history import History
from faults.history.sse import DONE, EventDigest, EventReader
from faults.history.target import Request, Target

CHAT = "/v1/chat/completions"


class _Error(msgspec.Struct):
    code: str | None = ""
    message: str = ""


class Answer(msgspec.Struct):
    """Of an answer's body, or of one event of a stream, what tells whose it is."""

    id: str = ""
    system_fingerprint: str = ""
    error: _Error | None = None


_answer = msgspec.json.Decoder(Answer)


def read_answer(body: bytes) -> Answer:
    """Of a body or an event; empty where it is none."""
    try:
        return _answer.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Answer()


def marks_of(answer: Answer) -> tuple[str, ...]:
    """Whose answer it is, and of which attempt."""
    return tuple(mark for mark in (answer.id, answer.system_fingerprint) if mark)


def request_headers(request: Request, key: str) -> dict[str, str]:
    """Headers of a request over HTTP under the API key `key`."""
    headers = {"content-type": "application/json", "headrace-lane": request.lane}
    if key:
        headers["authorization"] = f"Bearer {key}"
    if request.key:
        headers["idempotency-key"] = request.key
    return headers


class Watch:
    """What a client sees of one answer while it comes."""

    def __init__(self) -> None:
        self.status = 0
        self.id = ""
        self.body = b""
        self.code = ""
        self.end = End.CUT
        self.stream = False
        self._digest = EventDigest()
        self._reader = EventReader()
        self._marks: dict[str, None] = {}
        self._done = False

    @property
    def events(self) -> int:
        """Events of the stream so far."""
        return self._digest.count

    def feed(self, piece: bytes) -> None:
        """A piece of a stream."""
        for payload in self._reader.feed(piece):
            if payload == DONE:
                self._done = True
                continue
            answer = read_answer(payload)
            if answer.error is not None:
                self.code = answer.error.code or "error"
                continue
            self._digest.add(payload)
            self._marks.update(dict.fromkeys(marks_of(answer)))

    def whole(self) -> None:
        """The connection says that this was all."""
        if not self.stream:
            self.end = End.WHOLE
            answer = read_answer(self.body)
            self._marks.update(dict.fromkeys(marks_of(answer)))
            if self.status >= 400:
                self.code = (answer.error.code if answer.error else "") or "error"
        elif self.code:
            self.end = End.ERROR_EVENT
        else:
            self.end = End.DONE if self._done else End.SILENT

    def seen(self) -> Seen:
        """All of it."""
        plain = not self.stream
        return Seen(
            status=self.status,
            id=self.id,
            code=self.code,
            end=self.end,
            sha256=hashlib.sha256(self.body).hexdigest() if plain else self._digest.hexdigest(),
            size=len(self.body) if plain else self._digest.count,
            marks=tuple(self._marks),
        )


class OverHttp:
    """A way over one session; the ingresses take turns. Used as a context."""

    def __init__(self, target: Target, history: History, timeout_s: float) -> None:
        self._target = target
        self._history = history
        self._timeout_s = timeout_s
        self._urls = cycle(target.ingress)
        self._opened = AsyncExitStack()

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=0)
        self._session = await self._opened.enter_async_context(
            aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._opened.aclose()


class HttpWays(OverHttp):
    """Sync and stream requests of all tenants."""

    async def ask(self, request: Request) -> None:
        """Send it and wait for its end."""
        history = self._history
        number = request.number
        history.write(
            Invoke(
                number=number,
                at=history.now_ms(),
                way=request.way,
                tenant=request.tenant,
                model=request.model,
                lane=request.lane,
                body=request.digest,
                key=request.key,
            )
        )
        watch = Watch()
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._exchange(request, watch)
        except (TimeoutError, aiohttp.ClientError, OSError) as broken:
            why = f"{type(broken).__name__}: {broken}"
            at = history.now_ms()
            history.write(Unknown(number=number, at=at, why=why, seen=watch.seen()))
            return
        event = Fail if watch.code else Ok
        history.write(event(number=number, at=history.now_ms(), seen=watch.seen()))

    async def _exchange(self, request: Request, watch: Watch) -> None:
        async with self._session.post(
            next(self._urls) + CHAT,
            data=io.BytesIO(request.body),
            headers=request_headers(request, self._target.tenants[request.tenant]),
        ) as response:
            watch.status = response.status
            watch.id = response.headers.get("x-request-id", "")
            watch.stream = request.way is Way.STREAM and response.status == 200
            if not watch.stream:
                watch.body = await response.read()
            else:
                await self._read_stream(request, response, watch)
        watch.whole()

    async def _read_stream(
        self, request: Request, response: aiohttp.ClientResponse, watch: Watch
    ) -> None:
        async for piece in response.content.iter_any():
            before = watch.events
            watch.feed(piece)
            if before == 0 < watch.events:
                now = self._history.now_ms()
                self._history.write(Began(number=request.number, at=now, id=watch.id))
