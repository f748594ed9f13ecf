"""All processes of a development installation, as one async context manager.

Order of the start: Kafka, topics, then mock, dispatchers and ingress together, and once they are
there the governor: no request waits for it that no limit holds. Order of the stop: ingress (its
waiting requests are answered), dispatchers (their calls finish) and governor, mock,
Kafka. Nothing outlives this process (see `headrace.cli.lifeline`); the data folder stays.
"""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import yaml

from headrace.cli.lifeline import Lifeline
from headrace.cli.localkafka import LocalKafka, free_ports, is_free
from headrace.cli.progress import Reporter, Silent
from headrace.cli.topics.command import read_changes
from headrace.cli.topics.plan import Action
from headrace.cli.up import services
from headrace.cli.up.errors import DataFolderInUse
from headrace.cli.up.layout import Layout, configuration, layout_of, names_of_ports, overrides
from headrace.cli.up.role import Role
from headrace.cli.up.supervisor import keep_running
from headrace.schemas.config.load import load

READY_LIMIT_S = 180.0
MOCK_ARGUMENTS = ("--latency-ms", "200", "--tokens-per-s", "80")


class Stack:
    """Kafka (unless `bootstrap` names one), mock upstream, ingress, dispatchers and a governor.

    `data_dir` is created when missing and kept. `config` is a configuration file of the
    user's own; without it one is written there, over which `overlay` is laid. `ports` are
    wishes by name (see `layout.DEFAULT_PORTS`): a taken one is replaced by a free one.
    `supervise` starts again what dies; without it the caller does that. Of `governors` one owns the limits
    by the minute and the others stand by; without any no model is called whose deployments have such.
    Errors: `StackError`, `LocalKafkaError`, `TopicsError`, `ConfigError`.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        dispatchers: int = 2,
        bootstrap: str | None = None,
        config: Path | None = None,
        overlay: Mapping[str, object] | None = None,
        mock_arguments: Sequence[str] = MOCK_ARGUMENTS,
        local_model: bool = False,
        ports: Mapping[str, int] | None = None,
        supervise: bool = False,
        governors: int = 1,
        reporter: Reporter | None = None,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.config_path = config.absolute() if config else self.data_dir / "headrace.yaml"
        self.mock_log = self.data_dir / "mock-calls.jsonl"
        self.kafka: LocalKafka | None = None
        self._own_config = config is None
        self._count = dispatchers
        self._bootstrap = bootstrap
        self._overlay = overlay or {}
        self._mock_arguments = mock_arguments
        self._local_model = local_model
        self._wishes = ports or {}
        self._supervise = supervise
        self._governors = governors
        self._reporter = reporter or Silent()
        self._lifeline = Lifeline()
        self._opened = contextlib.AsyncExitStack()
        self._layout: Layout | None = None
        self._roles: dict[str, Role] = {}
        self._started = False

    @property
    def layout(self) -> Layout:
        """Where everything listens; known once the stack has been entered."""
        if self._layout is None:
            raise RuntimeError("the stack has not been started")
        return self._layout

    @property
    def started(self) -> bool:
        """Whether everything is up; False while it is being started."""
        return self._started

    @property
    def bootstrap(self) -> str:
        """Kafka's address for clients."""
        return self.layout.bootstrap

    @property
    def ingress_url(self) -> str:
        """`http://127.0.0.1:PORT`, without `/v1`."""
        return self.layout.ingress_url

    @property
    def mock_url(self) -> str:
        """`http://127.0.0.1:PORT`, without `/v1`."""
        return self.layout.mock_url

    @property
    def ingress(self) -> Role:
        """The process that serves HTTP."""
        return self._roles["ingress"]

    @property
    def mock(self) -> Role:
        """The scripted upstream's process."""
        return self._roles["mock"]

    @property
    def dispatchers(self) -> list[Role]:
        """The dispatchers' processes, ended ones too."""
        return [role for name, role in self._roles.items() if name.startswith("dispatcher-")]

    @property
    def governors(self) -> list[Role]:
        """The governors' processes, ended ones too."""
        return [role for name, role in self._roles.items() if name.startswith("governor-")]

    @property
    def environ(self) -> dict[str, str]:
        """What a process needs in its environment, besides `config_path`, to join this stack."""
        if self._own_config:
            return {}
        return overrides(self.layout, own_kafka=self._bootstrap is None)

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as opening:
            (self.data_dir / "logs").mkdir(parents=True, exist_ok=True)
            opening.enter_context(_alone(self.data_dir))
            bootstrap = self._bootstrap or await self._start_kafka(opening)
            self._lay_out(bootstrap)
            await opening.enter_async_context(self._lifeline)
            upstreams = services.upstreams(self.layout, self._mock_arguments, self.mock_log)
            await self._start(upstreams, opening)
            await self._apply_topics()
            dispatchers = services.dispatchers(self.layout, self.config_path)
            governors = services.governors(self.layout, self.config_path)
            with_them = self._prepare([*dispatchers, *governors], opening)
            await _start_all(with_them[: len(dispatchers)])
            await self._start([services.ingress(self.layout, self.config_path)], opening)
            for role in (*(self._roles[one.name] for one in upstreams), self.ingress):
                await role.ready(READY_LIMIT_S)  # the ingress last: its word is the stack's
            await _start_all(self.governors)
            if self._supervise:
                await opening.enter_async_context(self._supervision())
            self._opened = opening.pop_all()
            self._started = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._opened.__aexit__(kind, error, trace)

    async def dispatchers_ready(self) -> None:
        """Wait until every dispatcher says that it is ready. Errors: `StartFailed`."""
        await asyncio.gather(*(role.ready(READY_LIMIT_S) for role in self.dispatchers))

    async def governors_ready(self) -> None:
        """Wait until one of them owns the limits and judges calls. Errors: `StartFailed`."""
        await asyncio.gather(*(role.ready(READY_LIMIT_S) for role in self.governors))

    def kill(self) -> None:
        """SIGKILL to every role, for a user who will not wait for the orderly stop."""
        for role in self._roles.values():
            role.kill()

    async def _start_kafka(self, opening: contextlib.AsyncExitStack) -> str:
        folder = self.data_dir / "kafka"
        kafka = LocalKafka(folder, port=self._port("kafka"), reporter=self._reporter)
        self.kafka = await opening.enter_async_context(kafka)
        return self.kafka.bootstrap

    def _lay_out(self, bootstrap: str) -> None:
        names = names_of_ports(self._count, self._governors, local_model=self._local_model)
        free = free_ports(len(names))
        ports = {name: self._port(name) or port for name, port in zip(names, free, strict=True)}
        self._layout = layout_of(bootstrap, str(self.data_dir / "index"), ports)
        if self._own_config:
            tree = configuration(self._layout, self._overlay)
            text = yaml.safe_dump(tree, sort_keys=False)
            self.config_path.write_text(text, encoding="utf-8")

    def _port(self, name: str) -> int | None:
        wish = self._wishes.get(name)
        if wish is None or is_free(wish):
            return wish
        self._reporter.say(f"Port {wish} is taken; {name} gets another one.")
        return None

    async def _apply_topics(self) -> None:
        config = load(self.config_path, {**os.environ, **self.environ})
        changes = await read_changes(config, apply=True)
        created = sum(change.action is Action.CREATE for change in changes)
        if created:
            self._reporter.say(f"Created {created} topics.")

    async def _start(
        self, wanted: Sequence[services.Service], opening: contextlib.AsyncExitStack
    ) -> None:
        """Start these together; later they are stopped together."""
        await _start_all(self._prepare(wanted, opening))

    def _prepare(
        self, wanted: Sequence[services.Service], opening: contextlib.AsyncExitStack
    ) -> list[Role]:
        """Who is to be started; they are stopped together, in the order of these calls from the last."""
        roles = []
        for service in wanted:
            log = self.data_dir / "logs" / f"{service.name}.log"
            role = Role(service, self._lifeline, log=log, environ=self.environ)
            roles.append(role)
            self._roles[service.name] = role
        opening.push_async_callback(_stop_together, roles)
        return roles

    @contextlib.asynccontextmanager
    async def _supervision(self) -> AsyncIterator[None]:
        watched = [keep_running(name, role, self._reporter) for name, role in self._roles.items()]
        if self.kafka is not None:
            watched.append(keep_running("kafka", self.kafka.node, self._reporter))
        watchers = [asyncio.create_task(one) for one in watched]
        try:
            yield
        finally:
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)


async def _start_all(roles: Sequence[Role]) -> None:
    for role in roles:
        await role.start()


async def _stop_together(roles: Sequence[Role]) -> None:
    await asyncio.gather(*(role.stop() for role in roles))


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the data folder; the kernel lets go of it with the process."""
    with (folder / ".lock").open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataFolderInUse(f"Another stack runs on {folder}.") from None
        yield
