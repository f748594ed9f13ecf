"""One demo from start to verdict. The composition root: it names the clock.

Order: Kafka and all roles up; the scenario; all answered; dispatchers and ingress stopped, so that
nothing can be written any more; the topics dumped; the verdict.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import yaml
from rich.console import Console

from headrace.cli.breaker.table import read_breakers
from headrace.cli.demo import outage, quota, setting
from headrace.cli.demo.answers import upstream_answer
from headrace.cli.demo.beside import Asker, without
from headrace.cli.demo.check import Findings, check
from headrace.cli.demo.clients import Clients
from headrace.cli.demo.dump import dump_topics
from headrace.cli.demo.evidence import Evidence, Record
from headrace.cli.demo.findings import Rules
from headrace.cli.demo.ledger import Ledger
from headrace.cli.demo.prompts import IMPOSSIBLE, Prompt
from headrace.cli.demo.scenario import Scenario
from headrace.cli.demo.show import show
from headrace.cli.demo.traffic import Traffic
from headrace.cli.demo.view import Snapshot, snapshot
from headrace.cli.localkafka import free_ports
from headrace.cli.mock.log import read_log
from headrace.cli.progress import Reporter
from headrace.cli.up.stack import Stack
from headrace.schemas.config.load import load
from headrace.schemas.headers import H


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A finished run."""

    evidence: Evidence
    findings: Findings
    lanes: tuple[str, ...]


class Demo:
    """One run in `folder`, with `prompts`."""

    def __init__(
        self,
        folder: Path,
        prompts: list[Prompt],
        *,
        seed: int,
        dispatchers: int,
        console: Console,
        reporter: Reporter,
    ) -> None:
        self._folder = folder
        self._prompts = prompts
        self._console = console
        self._reporter = reporter
        self._lanes = tuple(dict.fromkeys(sorted((p.lane for p in prompts), key=_urgency)))
        self._ledger = Ledger(now_ms)
        self._started = now_ms()
        self._stack = self._build(seed, dispatchers, reporter)
        self._quota = Asker(quota.REQUESTS, quota.PER_S, quota.body, quota.HEADERS)
        self._outage = Asker(outage.REQUESTS, outage.PER_S, outage.body)
        self._scenario = Scenario(prompts, self._ledger, self._stack, now_ms)

    async def run(self) -> Run:
        """Do it all. Raises CrashMissed, and whatever the stack raises when it cannot start."""
        self._reporter.say(f"Starting everything in {self._folder}")
        async with Traffic() as traffic, self._stack as stack:
            await stack.dispatchers_ready()
            await stack.governors_ready()
            self._tell_start()
            self._started = now_ms()
            clients = Clients(f"{stack.ingress_url}/v1", self._ledger)
            try:
                async with self._showing(), contextlib.aclosing(clients), self._asking(stack):
                    await self._scenario.play(traffic, clients)
            finally:
                history = msgspec.json.encode(self._ledger.history)
                (self._folder / "history.json").write_bytes(history)
            await asyncio.gather(*(role.stop() for role in (stack.ingress, *stack.dispatchers)))
            return await self._judge()

    def _tell_start(self) -> None:
        up_s = (now_ms() - self._started) / 1000
        roles = f"Kafka, the upstream, the ingress and {len(self._stack.dispatchers)} dispatchers"
        self._reporter.say(f"{roles} are up after {up_s:.1f} s.")
        fate = "10 % of the calls get a 5xx and 5 % a 429; one dispatcher will be killed."
        self._reporter.say(f"Sending {len(self._prompts)} requests. {fate}")
        more = f"{quota.REQUESTS} more go to a model with a limit of {quota.LIMIT} a minute"
        fate = f"each can wait {quota.HEADERS['headrace-timeout']} s"
        self._reporter.say(f"{more}; {fate}, and the upstream would refuse one too many.")
        more = f"{outage.REQUESTS} go to a model whose first {outage.FAILING} calls fail"
        self._reporter.say(f"{more}; its breaker opens, and closes again.")

    async def _judge(self) -> Run:
        """Collect what the three sources tell, keep it in the folder, and check it."""
        config = load(self._stack.config_path, os.environ)
        calls = read_log(self._stack.mock_log)
        breakers = await read_breakers(config)
        dump = await dump_topics(self._stack.bootstrap, config)
        evidence = Evidence(
            history=self._ledger.history,
            calls=tuple(call for call in calls if call.received.model not in setting.BESIDE),
            dump=without(dump, self._quota.ids | self._outage.ids),
            kill=self._scenario.kill,
            limited=quota.limited(calls, self._quota.statuses),
            tripped=outage.tripped(calls, breakers.history(), self._outage.statuses),
        )
        (self._folder / "evidence.json").write_bytes(msgspec.json.encode(evidence))
        rules = Rules(
            prefix=setting.PREFIX,
            impossible=frozenset({IMPOSSIBLE}),
            retry_after_ms=setting.RETRY_AFTER_MS,
            error_after_ms=setting.ERROR_AFTER_MS,
            least_held=setting.LEAST_HELD,
        )
        findings = await asyncio.to_thread(check, evidence, rules, answer_of)
        return Run(evidence=evidence, findings=findings, lanes=self._lanes)

    @contextlib.asynccontextmanager
    async def _asking(self, stack: Stack) -> AsyncIterator[None]:
        """Requests beside the others; waits for their end."""
        askers = (self._quota, self._outage)
        asking = [asyncio.create_task(one.ask_all(stack.ingress_url)) for one in askers]
        try:
            yield
            await asyncio.gather(*asking)
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def _showing(self) -> AsyncIterator[None]:
        showing = asyncio.create_task(show(self._console, self._look))
        try:
            yield
        finally:
            showing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await showing

    def _look(self) -> Snapshot:
        return snapshot(
            self._lanes,
            self._ledger.history,
            read_log(self._stack.mock_log),
            started=self._started,
            now=now_ms(),
            killed=self._scenario.killed,
            kill=self._scenario.kill,
        )

    def _build(self, seed: int, dispatchers: int, reporter: Reporter) -> Stack:
        """The upstream's address goes into the configuration, so its port is chosen here."""
        (mock_port,) = free_ports(1)
        mock_config = self._folder / "mock.yaml"
        mock_config.write_text(yaml.safe_dump(setting.mock_config(seed)), encoding="utf-8")
        return Stack(
            self._folder,
            dispatchers=dispatchers,
            overlay=setting.overlay(self._prompts, f"http://127.0.0.1:{mock_port}"),
            mock_arguments=("--config", str(mock_config)),
            ports={"mock": mock_port},
            reporter=reporter,
        )


def answer_of(record: Record) -> bytes:
    """The upstream's answer to a request record of the demo."""
    return upstream_answer(record.header(H.ENDPOINT), record.value or b"", setting.script())


def now_ms() -> int:
    """Epoch milliseconds: the clock that the upstream's log and the broker use on this machine."""
    return time.time_ns() // 1_000_000


def _urgency(lane: str) -> tuple[int, str]:
    """The default lanes in their order, others after them."""
    known = ("interactive", "standard", "batch")
    return (known.index(lane) if lane in known else len(known), lane)
