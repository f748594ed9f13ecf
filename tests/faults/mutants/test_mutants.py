"""A smoke of the mutants: one scenario clean, and two mutants of it caught. `make mutants` runs all."""

import subprocess
import sys
from pathlib import Path

import pytest

from faults.mutants.catalogue import MUTANTS, Mutant
from faults.mutants.run import TESTS, play
from faults.mutants.scenario import SCENARIOS
from headrace.cli.localkafka import LocalKafka

SMOKE = "throttled"
COUNT = 12


def test_each_fault_of_the_design_has_its_mutant() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == COUNT
    for mutant in MUTANTS:
        assert (TESTS / "faults" / "mutants" / f"{mutant.name}.py").exists()
        assert mutant.scenario in SCENARIOS
        assert mutant.breaks


def test_each_mutant_fits_the_product_as_it_is() -> None:
    """In a process of its own, as it spoils all classes at once."""
    injected = {name for scenario in SCENARIOS.values() for name in scenario.injected}
    names = [f"faults.mutants.{mutant.name}" for mutant in MUTANTS]
    names += [f"faults.mutants.injected.{name}" for name in sorted(injected)]
    code = f"import importlib\nfor name in {names}: importlib.import_module(name).apply()"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=TESTS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(
    "mutant", [None, *(mutant for mutant in MUTANTS if mutant.scenario == SMOKE)]
)
async def test_the_checker_tells_the_product_from_its_mutants(
    kafka: LocalKafka, tmp_path: Path, mutant: Mutant | None
) -> None:
    ran = await play(tmp_path, SCENARIOS[SMOKE], mutant, kafka.bootstrap)
    assert ran.held, "\n".join(map(str, ran.verdict.violations[:5]))
