"""Short runs with a fault in them, each made so that certain mutants cannot hide."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from faults.history.driver import Driver
from faults.history.events import Way
from faults.history.history import History
from faults.history.stage import Setting, Stage
from faults.history.target import Mix
from headrace.cli.up.role import Role

Play = Callable[[Stage, Driver, History], Awaitable[None]]
SETTLE_S = 11.0
KILLER = "killer"
BROKER: Mapping[str, str] = {"group.min.session.timeout.ms": "1000"}
"""The broker must let members be found dead as soon as `QUICK` wants."""
QUICK: Mapping[str, object] = {
    # A dead process is found out sooner than by default: a scenario lasts 20 s at most.
    "dispatcher": {"session_timeout_s": 3, "heartbeat_s": 0.5, "drain_s": 5},
}


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One kind of run."""

    name: str
    play: Play
    setting: Setting = field(default_factory=Setting)
    mix: Mix = field(default_factory=Mix)
    injected: tuple[str, ...] = ()
    """Modules of `injected` that every run of it has."""
    settle_s: float = SETTLE_S
    """How long what is still open is waited for at its end."""


async def steady(_stage: Stage, driver: Driver, _history: History) -> None:
    """Nothing but traffic."""
    await driver.send(90, 45)


async def rebalanced(stage: Stage, driver: Driver, history: History) -> None:
    """A dispatcher leaves and comes back while requests wait in the other's memory."""
    sending = asyncio.create_task(driver.send(120, 60))
    await asyncio.sleep(1.0)
    leaving = stage.stack.dispatchers[0]
    with history.fault("stop", leaving.name):
        leaving.terminate()
        await leaving.wait()
        await leaving.start()
        await leaving.ready(20)
    await sending


async def killed(stage: Stage, driver: Driver, history: History) -> None:
    """A dispatcher is killed when all has been called, and little has ended."""
    await driver.send(10, 50)
    await asyncio.sleep(1.0)
    victim = stage.stack.dispatchers[0]
    with history.fault("kill", victim.name):
        victim.kill()
        await victim.wait()


async def struck(stage: Stage, driver: Driver, history: History) -> None:
    """A record kills whoever calls it; dead dispatchers are started again, as Kubernetes would."""
    keepers = [asyncio.create_task(_keep(role, history)) for role in stage.stack.dispatchers]
    try:
        sending = asyncio.create_task(driver.send(60, 20))
        await asyncio.sleep(0.5)
        await driver.send_one(Way.DIRECT, KILLER)
        await sending
        await driver.ended()
        await stage.settle(SETTLE_S)
    finally:
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)


async def _keep(role: Role, history: History) -> None:
    while True:
        await role.wait()
        with history.fault("kill", role.name):
            pass  # it is over when it is seen
        await role.start()


SCENARIOS = {
    one.name: one
    for one in (
        Scenario(
            name="slow-outcomes",
            play=steady,
            setting=Setting(dispatchers=1),
            injected=("slow_outcomes",),
        ),
        Scenario(
            name="refused-outcomes",
            play=steady,
            setting=Setting(dispatchers=1, overlay={"lanes": {"standard": {"deadline_s": 6}}}),
            injected=("refused_outcomes",),
            mix=Mix(timeout_s=10),
        ),
        Scenario(
            name="rebalance",
            play=rebalanced,
            setting=Setting(
                seats=8,
                script="latency_ms=400;sign=1",
                overlay={**QUICK, "lanes": {"standard": {"deadline_s": 12}}},
            ),
            mix=Mix(timeout_s=15, ways={Way.SYNC: 7, Way.DIRECT: 3}),
        ),
        Scenario(
            name="throttled",
            play=steady,
            setting=Setting(
                dispatchers=1,
                script="latency_ms=20;sign=1;fail=1x429;retry_after=3",
                retry_after_ms=3_000,
                error_after_ms=20,
            ),
        ),
        Scenario(
            name="poison",
            play=killed,
            setting=Setting(
                script="latency_ms=20;status=500",
                overlay={**QUICK, "models": {"small": {"retry": {"attempts": 1}}}},
            ),
            mix=Mix(ways={Way.SYNC: 1}),
            injected=("slow_letters",),
        ),
        Scenario(
            name="burst",
            play=steady,
            setting=Setting(dispatchers=1, seats=4, script="latency_ms=150;sign=1"),
        ),
        Scenario(
            name="broken-streams",
            play=killed,
            setting=Setting(
                seats=64,
                script="first_token_ms=300;tokens=60;tokens_per_s=30;sign=1",
                overlay=QUICK,
            ),
            mix=Mix(ways={Way.STREAM: 1}),
        ),
        Scenario(name="jobs", play=steady, mix=Mix(ways={Way.JOB: 1})),
        Scenario(name="keys", play=steady, mix=Mix(ways={Way.KEYED: 1})),
        Scenario(
            name="killer",
            play=struck,
            setting=Setting(models=("small", KILLER), overlay=QUICK),
            mix=Mix(ways={Way.SYNC: 7, Way.DIRECT: 3}, timeout_s=5),
            injected=("killer",),
            settle_s=1.0,
        ),
    )
}
