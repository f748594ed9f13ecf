"""A real single-node Apache Kafka as a child process of this one.

How it works: the JVM runs in the data folder, with its own configuration, log and records
in it. The folder is formatted once; a later start finds it formatted and goes on with the
records it holds, on other ports if need be. The node is up when it has answered a metadata
request. A lifeline ends the JVM when this process dies without stopping it.
"""

import asyncio
import base64
import contextlib
import fcntl
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from headrace.cli.lifeline import Child, Lifeline
from headrace.cli.localkafka.distribution import Distribution
from headrace.cli.localkafka.errors import FolderInUse, StartFailed
from headrace.cli.localkafka.health import answers_metadata
from headrace.cli.localkafka.ports import free_ports
from headrace.cli.localkafka.properties import LOG_FOLDER, Ports, properties_text

START_LIMIT_S = 180.0
STOP_LIMIT_S = 15.0
FOLDER_LIMIT_S = 10.0  # how long the JVM of a killed run may take to leave the folder
PORT_ATTEMPTS = 3
LOG_TAIL_BYTES = 3000


class Node:
    """An async context manager around one JVM; `LocalKafka` is what callers use.

    `port` fixes the client port; by default a free one is taken at each start. `extra`
    are broker properties that win over ours; `scram_users` (name -> password) are created
    with SCRAM-SHA-512 when the folder is formatted.
    """

    def __init__(
        self,
        distribution: Distribution,
        data_dir: Path,
        *,
        port: int | None = None,
        extra: Mapping[str, str] | None = None,
        scram_users: Mapping[str, str] | None = None,
        stop_limit_s: float = STOP_LIMIT_S,
    ) -> None:
        self._distribution = distribution
        self._folder = data_dir.absolute()
        self._port = port
        self._extra = dict(extra or {})
        self._scram_users = dict(scram_users or {})
        self._stop_limit_s = stop_limit_s
        self._lifeline = Lifeline()
        self._child: Child | None = None
        self._ports: Ports | None = None

    @property
    def log(self) -> Path:
        """What Kafka itself wrote, from WARN up."""
        return self._folder / "kafka.log"

    @property
    def ports(self) -> Ports:
        """Where the started node listens."""
        if self._ports is None:
            raise RuntimeError("the node has not been started")
        return self._ports

    @property
    def pid(self) -> int:
        """The JVM itself."""
        if self._child is None:
            raise RuntimeError("the node has not been started")
        return self._child.pid

    async def __aenter__(self) -> Self:
        await self._lifeline.__aenter__()
        try:
            await self.start()
        except BaseException:
            await self._lifeline.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()
        await self._lifeline.__aexit__(kind, error, trace)

    async def start(self) -> None:
        """Format the folder if it is new, run, and return when Kafka answers.

        After `stop` or `kill` it starts again, on the ports it had.
        Errors: `FolderInUse`, `StartFailed`.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        await self._folder_is_free()
        for attempt in range(1, PORT_ATTEMPTS + 1):
            self._ports = self._ports or self._choose_ports()
            text = properties_text(self._ports, self._extra)
            (self._folder / "server.properties").write_text(text, encoding="utf-8")
            if not (self._folder / LOG_FOLDER / "meta.properties").exists():
                await self._format()
            if await self._run():
                return
            if attempt == PORT_ATTEMPTS or "Address already in use" not in self._log_tail():
                raise StartFailed(f"Kafka ended at its start; {self.log} ends:\n{self._log_tail()}")
            self._ports = None

    async def wait(self) -> int:
        """Wait until the JVM ends, by whatever cause; its exit code."""
        if self._child is None:
            raise RuntimeError("the node has not been started")
        return await self._child.wait()

    async def stop(self) -> None:
        """Stop in order; the folder can be started again. A second call does nothing."""
        if self._child is not None:
            await self._child.stop(self._stop_limit_s)

    async def kill(self) -> None:
        """SIGKILL, as a crash would end it."""
        if self._child is not None:
            await self._child.stop(0)

    def _choose_ports(self) -> Ports:
        client, internal, controller = free_ports(3)
        return Ports(self._port or client, internal, controller)

    async def _folder_is_free(self) -> None:
        """Kafka locks its folder; say so in our words, and let a dying JVM finish first."""
        lock = self._folder / LOG_FOLDER / ".lock"
        with contextlib.suppress(FileNotFoundError):
            try:
                async with asyncio.timeout(FOLDER_LIMIT_S):
                    while _is_locked(lock):  # noqa: ASYNC110 - a lock tells nobody when it is freed
                        await asyncio.sleep(0.1)
            except TimeoutError:
                raise FolderInUse(f"Another Kafka is running on {self._folder}.") from None

    async def _format(self) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # One argument with its value: an id may begin with a dash.
        arguments = ["format", "--standalone", f"--cluster-id={cluster}", "-c", "server.properties"]
        for name, password in self._scram_users.items():
            arguments += ["--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]"]
        command = self._distribution.command("kafka.tools.StorageTool", *arguments)
        child = await self._lifeline.spawn(command, log=self.log, cwd=self._folder)
        async with asyncio.timeout(START_LIMIT_S):
            code = await child.wait()
        if code:
            raise StartFailed(f"Formatting {self._folder} failed:\n{self._log_tail()}")

    async def _run(self) -> bool:
        """Run the JVM; True when it answers, False when it ended instead."""
        command = self._distribution.command("kafka.Kafka", "server.properties")
        child = await self._lifeline.spawn(command, log=self.log, cwd=self._folder)
        self._child = child
        ended = asyncio.create_task(child.wait())
        answered = asyncio.create_task(answers_metadata(self.ports.internal))
        tasks = {ended, answered}
        try:
            async with asyncio.timeout(START_LIMIT_S):
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            await child.stop(0)
            message = f"Kafka did not answer within {START_LIMIT_S:.0f} s"
            raise StartFailed(f"{message}; {self.log} ends:\n{self._log_tail()}") from None
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return answered in done

    def _log_tail(self) -> str:
        return self.log.read_bytes()[-LOG_TAIL_BYTES:].decode("utf-8", "replace")


def _is_locked(path: Path) -> bool:
    """Java's FileLock is a POSIX record lock, so another process can ask for it."""
    with path.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
