"""The adapter with one deployment, as tests call it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import SecretStr

from headrace.dispatcher.ports import Call, CallEnd
from headrace.dispatcher.upstreams import OpenAIUpstream
from headrace.schemas.config.model import (
    DeploymentConfig,
    DeploymentLimits,
    DispatcherConfig,
    Timeouts,
    UpstreamConfig,
)
from headrace.schemas.names import DeploymentName, Endpoint, ModelName, RequestId

ONLY = DeploymentName("only")


class Caller:
    """Makes calls; `chunks` holds what the last one forwarded."""

    def __init__(self, upstream: OpenAIUpstream) -> None:
        self._upstream = upstream
        self.chunks: list[bytes] = []

    async def call(self, body: bytes = b'{"model":"m"}', **more: object) -> CallEnd:
        """One call of the chat endpoint; `stream`, `id`, `timeout_s` ... as in `Call`."""
        self.chunks = []
        fields: dict[str, object] = {
            "id": RequestId("r-1"),
            "endpoint": Endpoint.CHAT,
            "body": body,
            "stream": False,
            "deployment": ONLY,
            "timeout_s": 30.0,
        }
        call = Call(**(fields | more))  # type: ignore[arg-type]  # a test names what it changes
        return await self._upstream.call(call, self.chunks.append)


@asynccontextmanager
async def calling(
    base_url: str,
    *,
    model: str | None = None,
    api_key: str | None = None,
    timeouts: Timeouts | None = None,
    concurrency: int = 64,
    gated: bool = False,
    **settings: int,
) -> AsyncIterator[Caller]:
    """A caller of the API at `base_url`; `settings` are the dispatcher's."""
    deployment = DeploymentConfig(
        name=ONLY,
        model=ModelName("m"),
        upstream=UpstreamConfig(
            base_url=base_url,
            model=None if model is None else ModelName(model),
            api_key=None if api_key is None else SecretStr(api_key),
        ),
        limits=DeploymentLimits(process_concurrency=concurrency),
        timeouts=timeouts or Timeouts(),
    )
    config = DispatcherConfig.model_validate(settings)
    async with OpenAIUpstream([deployment], config, [ONLY] if gated else ()) as upstream:
        yield Caller(upstream)
