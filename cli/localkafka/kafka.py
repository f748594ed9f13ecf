"""The face of this room: everything from the download to a Kafka that answers."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from headrace.cli.localkafka.ahead import with_ahead_cache
from headrace.cli.localkafka.distribution import Distribution, find_distribution
from headrace.cli.localkafka.node import Node
from headrace.cli.progress import Reporter, Silent


class LocalKafka:
    """An async context manager: Kafka answers inside, and is stopped after.

    `data_dir` is created when missing and kept; starting on it again finds its topics and
    records. `port` fixes the client port (a free one by default). `properties` are broker
    properties that win over ours; the listener for clients is called CLIENT. `scram_users`
    (name -> password) exist from the first start on a new folder. `jvm_options` win over ours.
    Errors: `LocalKafkaError` and its kinds.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        properties: Mapping[str, str] | None = None,
        scram_users: Mapping[str, str] | None = None,
        jvm_options: Sequence[str] = (),
        reporter: Reporter | None = None,
    ) -> None:
        self._data_dir = data_dir
        self._port = port
        self._properties = properties
        self._scram_users = scram_users
        self._jvm_options = jvm_options
        self._reporter = reporter or Silent()
        self._node: Node | None = None

    @property
    def bootstrap(self) -> str:
        """`127.0.0.1:PORT` for clients."""
        return f"127.0.0.1:{self.node.ports.client}"

    @property
    def internal_bootstrap(self) -> str:
        """A second listener without security, whatever `properties` ask of clients."""
        return f"127.0.0.1:{self.node.ports.internal}"

    @property
    def node(self) -> Node:
        """The running JVM: its pid, its log, `kill` and `start`."""
        if self._node is None:
            raise RuntimeError("LocalKafka is used before it was started")
        return self._node

    async def __aenter__(self) -> Self:
        distribution = await asyncio.to_thread(self._prepare)
        node = Node(
            distribution,
            self._data_dir,
            port=self._port,
            extra=self._properties,
            scram_users=self._scram_users,
        )
        await node.__aenter__()
        self._node = node
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._node is not None:
            await self._node.__aexit__(kind, error, trace)

    def _prepare(self) -> Distribution:
        distribution = with_ahead_cache(find_distribution(self._reporter), self._reporter)
        return distribution.with_options(*self._jvm_options)
