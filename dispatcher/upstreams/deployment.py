"""One deployment: its connections, and the call."""

import asyncio
from typing import Final

import aiohttp
from yarl import URL

from headrace.dispatcher.policy.error_object import read_object, status_for
from headrace.dispatcher.ports import Break, Call, CallEnd, Forward
from headrace.dispatcher.upstreams.answer import Answer, Bounds
from headrace.dispatcher.upstreams.breaks import ENDS_OF_CALLS, broken_by, detail_of
from headrace.dispatcher.upstreams.coalesce import Chunks, Pulse
from headrace.dispatcher.upstreams.gated import GatedRequest, Withheld
from headrace.dispatcher.upstreams.passing import id_header, kept, traceparent_header
from headrace.dispatcher.upstreams.rename import rename_model
from headrace.dispatcher.upstreams.request_body import RequestBody
from headrace.dispatcher.upstreams.sse import EventReader
from headrace.dispatcher.upstreams.watch import Watch
from headrace.schemas.config.model import DeploymentConfig
from headrace.schemas.names import Endpoint

EVENT_STREAM: Final = "text/event-stream"
NEVER_ROUNDED: Final = 1e9
"""aiohttp rounds time-outs above its threshold up to whole seconds."""


class Deployment:
    """Makes calls to one deployment. Built and closed inside a running event loop."""

    def __init__(
        self, config: DeploymentConfig, pulse: Pulse, max_answer_bytes: int, *, gated: bool = False
    ) -> None:
        """`gated`: calls are only sent where their gate opens."""
        self._timeouts = config.timeouts
        self._bounds = Bounds(config.timeouts.stall_s, max_answer_bytes)
        self._pulse = pulse
        renamed = config.upstream.model
        self._model = renamed if renamed != config.model else None
        base_url = config.upstream.base_url.rstrip("/")
        self._urls = {each: URL(f"{base_url}/{each.value}") for each in Endpoint}
        self._session = _session(config, GatedRequest if gated else aiohttp.ClientRequest)

    async def call(self, call: Call, forward: Forward) -> CallEnd:
        """One POST, never repeated: aiohttp repeats only idempotent methods by itself."""
        sent = rename_model(call.body, self._model) if self._model else call.body
        body = RequestBody(sent, call.gate)
        chunks = Chunks(forward, self._pulse)
        end = call.end
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        total_s = min(self._timeouts.total_s, call.timeout_s)
        # A plain answer begins when it is whole: only a stream owes a first byte sooner.
        first_s = self._timeouts.first_byte_s if call.stream else total_s + 1
        try:
            with Watch(total_s, Break.FIRST_BYTE_TIMEOUT, first_s) as watch:
                if call.cuttable is not None:
                    call.cuttable(lambda: watch.cut(Break.SEAT_LOST))
                await self._exchange(call, body, chunks, end, watch)
        except Withheld:
            end.withheld = True
        except ENDS_OF_CALLS as error:
            end.broken = broken_by(error, sent=body.sent, answered=end.status > 0)
            end.detail = detail_of(error)
            if chunks.forwarded:
                chunks.flush()
        finally:
            # Nothing is forwarded once the call has ended, whichever way.
            chunks.take()
        end.forwarded = chunks.forwarded
        end.spent_s = body.spent_s
        if call.stream:
            end.first_s = (chunks.first_at or loop.time()) - began_at
        return end

    async def close(self) -> None:
        """Close all connections; may come twice."""
        await self._session.close()

    async def _exchange(
        self, call: Call, body: RequestBody, chunks: Chunks, end: CallEnd, watch: Watch
    ) -> None:
        """Send, and read the answer into `end`."""
        response = await self._session.post(
            self._urls[call.endpoint], data=body, headers=_headers(call), allow_redirects=False
        )
        try:
            end.status = response.status
            end.headers = kept(response.headers.items())
            content_type = response.headers.get("Content-Type", "application/json")
            end.content_type = content_type.encode("ascii", "replace")
            answer = Answer(response, self._bounds, watch)
            if call.stream and 200 <= end.status < 300 and content_type.startswith(EVENT_STREAM):
                reader = EventReader(metered=call.metered)
                try:
                    end.body, end.stream_error = await answer.stream(chunks, reader)
                finally:
                    end.usage, end.text = reader.usage, reader.text
                if end.stream_error:
                    end.status = status_for(read_object(end.stream_error))
            else:
                end.body = await answer.whole()
        finally:
            if not response.content.is_eof():
                response.close()


def _session(
    config: DeploymentConfig, request: type[aiohttp.ClientRequest]
) -> aiohttp.ClientSession:
    headers = {
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
        "User-Agent": "headrace",
    }
    if config.upstream.api_key is not None:
        headers["Authorization"] = f"Bearer {config.upstream.api_key.get_secret_value()}"
    timeouts = aiohttp.ClientTimeout(
        total=None, connect=config.timeouts.connect_s, ceil_threshold=NEVER_ROUNDED
    )
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=config.limits.process_concurrency),
        headers=headers,
        request_class=request,
        timeout=timeouts,
        # Cookies of one tenant's answer must not ride on another tenant's request.
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
    )


def _headers(call: Call) -> dict[str, str]:
    request_id = id_header(call.id)
    headers = {"Idempotency-Key": request_id, "X-Request-Id": request_id}
    if call.traceparent and (traceparent := traceparent_header(call.traceparent)):
        headers["Traceparent"] = traceparent
    return headers
