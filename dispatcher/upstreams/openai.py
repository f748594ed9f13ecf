"""Upstreams that speak the OpenAI API: one session of kept-alive connections for each deployment."""

from collections.abc import Collection, Iterable
from types import TracebackType
from typing import Self

from headrace.dispatcher.ports import Call, CallEnd, Forward
from headrace.dispatcher.upstreams.coalesce import ChunkPolicy, Pulse
from headrace.dispatcher.upstreams.deployment import Deployment
from headrace.schemas.config.model import DeploymentConfig, DispatcherConfig
from headrace.schemas.names import DeploymentName


class OpenAIUpstream:
    """`async with OpenAIUpstream(config.deployments, config.dispatcher) as upstream:`.

    Calls run in their callers' tasks; cancelling one closes its connection at once.
    """

    def __init__(
        self,
        deployments: Iterable[DeploymentConfig],
        settings: DispatcherConfig,
        gated: Collection[DeploymentName] = (),
    ) -> None:
        """Open nothing yet. Calls to `gated` deployments may have a gate; that of others is not asked."""
        self._gated = gated
        self._configs = tuple(deployments)
        self._max_answer_bytes = settings.max_answer_bytes
        self._pulse = Pulse(ChunkPolicy(settings.chunk_linger_ms / 1000, settings.chunk_bytes))
        self._deployments: dict[DeploymentName, Deployment] = {}

    async def __aenter__(self) -> Self:
        """Get ready; connections are made when calls need them."""
        for config in self._configs:
            deployment = Deployment(
                config,
                self._pulse,
                self._max_answer_bytes,
                gated=config.name in self._gated,
            )
            self._deployments[config.name] = deployment
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        await self.close()

    async def call(self, call: Call, forward: Forward) -> CallEnd:
        """Make one call, no retries. Raises nothing for what an upstream does."""
        return await self._deployments[call.deployment].call(call, forward)

    async def close(self) -> None:
        """Close all connections; may come twice, or before start."""
        self._pulse.close()
        for deployment in self._deployments.values():
            await deployment.close()
