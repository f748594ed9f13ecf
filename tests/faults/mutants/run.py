"""One run of a scenario, with or without a mutant."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from faults.history.check import Verdict, check_folder
from faults.history.driver import Driver
from faults.history.history import History
from faults.history.stage import staged
from faults.mutants.catalogue import Mutant
from faults.mutants.scenario import Scenario

PACKAGE = "faults.mutants"
TESTS = Path(__file__).resolve().parents[2]
PATCHES = "HEADRACE_TEST_PATCHES"


@dataclass(frozen=True)
class Ran:
    """A run and its verdict."""

    scenario: Scenario
    mutant: Mutant | None
    verdict: Verdict
    seconds: float
    """That the run lasted, the start of the processes not counted."""

    @property
    def held(self) -> bool:
        """Clean without a mutant; with one, caught by a check that it must break."""
        broken = self.verdict.broken
        if self.mutant is None:
            return not broken
        return bool(self.mutant.breaks & broken.keys())


async def play(folder: Path, scenario: Scenario, mutant: Mutant | None, bootstrap: str) -> Ran:
    """Run and judge. Raises what the stack raises when a role cannot start."""
    patches = [f"{PACKAGE}.injected.{name}" for name in scenario.injected]
    patches += [f"{PACKAGE}.{mutant.name}"] if mutant else []
    with _patched(patches):
        async with staged(folder, scenario.setting, bootstrap=bootstrap) as stage:
            began = time.monotonic()
            with History(folder, now_ms) as history:
                async with Driver(stage.target, scenario.mix, history) as driver:
                    await scenario.play(stage, driver, history)
                    await driver.ended()
            await stage.settle(scenario.settle_s)
            seconds = time.monotonic() - began
            await stage.conclude()
    return Ran(scenario, mutant, check_folder(folder), seconds)


@contextmanager
def _patched(patches: list[str]) -> Iterator[None]:
    """Roles that are started meanwhile find the hook, and are told what to patch."""
    hook = Path(__file__).with_name("hook")
    path = os.pathsep.join(map(str, (hook, TESTS, os.environ.get("PYTHONPATH", ""))))
    changed = {PATCHES: ",".join(patches), "PYTHONPATH": path.rstrip(os.pathsep)}
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def now_ms() -> int:
    """Epoch milliseconds: the clock that the upstream's log and the broker use on this machine."""
    return time.time_ns() // 1_000_000
