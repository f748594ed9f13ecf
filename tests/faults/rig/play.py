"""What a case has in its hands: the installation, the load, the history, and a place for its findings."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from faults.history.driver import Driver
from faults.history.dump import places_of
from faults.history.events import Event, Fail, Way
from faults.history.history import History, read_history
from faults.history.target import Mix
from faults.rig import timing
from faults.rig.brokers import Cluster
from faults.rig.fleet import Fleet
from faults.rig.process import Process
from faults.rig.settle import behind
from headrace.cli.mock.log import LoggedCall
from headrace.schemas.names import LaneName
from support.eventually import eventually
from support.http_client import Answered, Client
from support.installation import Installation, chat

LIVENESS_S = 15.0
"""P12."""
MIXED = Mix(ways={Way.SYNC: 6, Way.STREAM: 2, Way.DIRECT: 2}, timeout_s=60.0)
SYNC_ONLY = Mix(ways={Way.SYNC: 1}, timeout_s=60.0)
HTTP_ONLY = Mix(ways={Way.SYNC: 3, Way.STREAM: 1}, timeout_s=60.0)
POLL_S = 0.1
BATCH = 1_000
LANES = ("interactive", "standard", "batch")


def now_ms() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000


class Load:
    """Traffic that is being sent."""

    def __init__(self, driver: Driver, sending: asyncio.Task[None]) -> None:
        self.driver = driver
        self._sending = sending

    def enough(self) -> None:
        """Send no more; what was sent is waited for."""
        self._sending.cancel()


class Play(Installation):
    """One case in progress; `expect` keeps what did not hold.

    Of an `Installation` it has the means to read and write topics; its processes are `fleet`'s.
    """

    def __init__(self, fleet: Fleet, history: History) -> None:
        self.fleet = fleet
        self.cluster: Cluster = fleet.cluster
        self.history = history
        self.topics = fleet.topics
        self.bootstrap = fleet.cluster.bootstrap
        self.url = f"{fleet.url(fleet.ingress[0])}/v1"
        self.findings: list[str] = []
        self.late: list[str] = []
        """What came later than it must: a busy machine is to blame for it, too."""
        self.measured: list[tuple[str, float, str]] = []
        """What, value and unit of figures that the results tell besides those of every case."""
        self.recover_s: float | None = None
        self.asked = 0
        """Requests outside the history."""
        self.answered = 0
        self.more_allowed = 0
        """Re-executions that the case allows besides those a crash explains."""
        self.settled = True
        """Whether the case waits until nothing is open; else what has no end is not called lost."""
        self.unknown_allowed = False
        """Whether clients may be left without an answer (their ingress was killed)."""
        self.errors_allowed: frozenset[str] = frozenset()
        """Codes of errors that a client may see."""

    @property
    def events(self) -> Sequence[Event]:
        """What clients lived through so far."""
        return list(read_history(self.fleet.folder))

    def calls(self, request_id: str | None = None) -> list[LoggedCall]:
        """The upstream's own log, of one request or whole."""
        every = self.fleet.calls()
        return [one for one in every if request_id in (None, one.received.request_id)]

    def failures(self) -> list[Fail]:
        """Answers that were errors, so far."""
        return [one for one in self.events if isinstance(one, Fail)]

    def expect(self, held: bool, otherwise: str) -> None:
        """Keep `otherwise` as a finding if it did not hold."""
        if not held:
            self.findings.append(otherwise)

    def in_time(self, held: bool, otherwise: str) -> None:
        """As `expect`, for what depends on how fast the machine is."""
        if not held:
            self.late.append(otherwise)

    def recovers(self, seconds: float | None, within_s: float = LIVENESS_S) -> None:
        """The worst recovery of the case; beyond `within_s` it is a finding."""
        if seconds is None:
            self.findings.append("nothing was completed after the fault")
            return
        self.recover_s = max(self.recover_s or 0.0, seconds)
        self.in_time(seconds <= within_s, f"recovered after {seconds:.1f} s, not {within_s:g} s")

    @asynccontextmanager
    async def load(self, count: int, per_s: float, mix: Mix = MIXED) -> AsyncIterator[Load]:
        """Traffic while the block runs; its end waits for every client."""
        async with Driver(self.fleet.target, mix, self.history) as driver:
            sending = asyncio.create_task(driver.send(count, per_s))
            try:
                yield Load(driver, sending)
                with contextlib.suppress(asyncio.CancelledError):
                    await sending
                await driver.ended()
            finally:
                sending.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await sending

    async def until_calls(self, count: int, within_s: float = 60.0) -> None:
        """Wait until the upstream has seen so many."""
        await self.until(lambda: len(self.fleet.calls()) >= count, within_s)

    async def until(self, condition: Callable[[], object], within_s: float = 30.0) -> None:
        """Wait for it. Raises `AssertionError`."""
        await eventually(condition, within_s=within_s, every_s=POLL_S)

    async def lasts(self, seconds: float) -> None:
        """How long a fault is there."""
        await asyncio.sleep(seconds)

    async def until_true(self, condition: Callable[[], Awaitable[bool]], within_s: float) -> None:
        """Wait for what has to be asked of others. Raises `AssertionError`."""
        await eventually(condition, within_s=within_s, every_s=0.25)

    async def behind(self) -> int:
        """Records that dispatchers have not committed yet."""
        return await behind(self.bootstrap, self.topics, LANES)

    async def settle(self, within_s: float = 60.0) -> None:
        """Wait until every group has committed all that its topics hold: nothing is open any more."""

        async def done() -> bool:
            return not await self.behind()

        await self.until_true(done, within_s)

    async def ends(self, topic: str) -> dict[int, int]:
        """The end offset of each partition."""
        places = await places_of(self.bootstrap, lambda name: name == topic)
        async with AIOKafkaConsumer(bootstrap_servers=self.bootstrap) as consumer:
            ends = await consumer.end_offsets(places)
        return {place.partition: end for place, end in ends.items()}

    async def produce_many(self, topic: str, count: int, reply_to: str) -> None:
        """Many direct records, as fast as they go."""
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, acks="all", linger_ms=20)
        async with producer:
            told = [("headrace-tenant", b"ann"), ("reply-topic", reply_to.encode())]
            for begin in range(0, count, BATCH):
                numbers = range(begin, min(begin + BATCH, count))
                sent = [
                    await producer.send(topic, chat(f"queued {n}"), key=b"%d" % n, headers=told)
                    for n in numbers
                ]
                await asyncio.gather(*sent)

    @contextlib.contextmanager
    def fault(self, what: str, who: str) -> Iterator[int]:
        """What is done inside is a fault; gives its beginning in epoch ms."""
        at = now_ms()
        with self.history.fault(what, who):
            yield at

    async def kill(self, process: Process) -> int:
        """SIGKILL, as a fault; when it was, in epoch ms."""
        with self.fault("kill", process.name) as at:
            await process.kill()
        return at

    async def dies(self, process: Process, within_s: float = 60.0) -> int:
        """Wait until an armed process has killed itself; when that was seen, in epoch ms."""
        async with asyncio.timeout(within_s):
            await process.wait()
        with self.fault("kill", process.name) as at:
            return at

    def first_ok_s(self, at: int) -> float | None:
        """See `timing.first_ok_s`."""
        return timing.first_ok_s(self.events, at)

    def last_end_s(self, at: int) -> float:
        """See `timing.last_end_s`."""
        return timing.last_end_s(self.events, at)

    async def metric(self, process: Process, name: str) -> float:
        """The sum over all labels of one metric."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(self.fleet.metrics_url(process)) as response,
        ):
            page = await response.text()
        lines = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", page, re.MULTILINE)
        return sum(map(float, lines))

    async def ask(self, body: bytes, *, ingress: int = 0, **headers: str) -> Answered:
        """One request of the first tenant, outside the history."""
        self.asked += 1
        async with Client(f"{self.fleet.url(self.fleet.ingress[ingress])}/v1") as client:
            answer = await client.ask(body, **self.auth, **headers)
        self.answered += 1
        return answer

    @asynccontextmanager
    async def open(
        self, body: bytes, *, ingress: int = 0, **headers: str
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The same, the answer once its head is there; leaving early drops the connection."""
        self.asked += 1
        async with (
            Client(f"{self.fleet.url(self.fleet.ingress[ingress])}/v1") as client,
            client.open(body, **self.auth, **headers) as response,
        ):
            self.answered += 1
            yield response

    @property
    def auth(self) -> dict[str, str]:
        """Headers of the first tenant."""
        return {"authorization": f"Bearer {next(iter(self.fleet.keys.values()))}"}

    async def committed(self, lane: str = "standard") -> dict[int, int]:
        """Committed offset of each partition of a lane."""
        async with self.admin() as admin:
            told = await admin.list_consumer_group_offsets(
                self.topics.dispatch_group(LaneName(lane))
            )
        return {place.partition: one.offset for place, one in told.items()}

    async def require_copies(self, topic: str, least: int) -> None:
        """Set `min.insync.replicas`: above what there is, nobody can write with `acks=all`.

        Returns when every broker knows it.
        """
        name = "min.insync.replicas"
        wanted = ConfigResource(ConfigResourceType.TOPIC, topic, {name: str(least)})
        asked = ConfigResource(ConfigResourceType.TOPIC, topic, {name: None})
        async with self.admin() as admin:
            await admin.alter_configs([wanted])

            async def known() -> bool:
                told = await admin.describe_configs([asked])
                entries = [entry for one in told for entry in one.resources[0][4]]
                return {entry[1] for entry in entries if entry[0] == name} == {str(least)}

            await self.until_true(known, 20)

    @asynccontextmanager
    async def admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        """Kafka's own administration."""
        async with AsyncExitStack() as opened:
            one = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
            await one.start()
            opened.push_async_callback(one.close)
            yield one


def rss_mb(process: Process) -> float:
    """Resident memory now."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * 4096 / 1_048_576
