"""A smoke of the mutants: one scenario clean, and two mutants of it caught. `make mutants` runs all."""

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


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "mutant", [None, *(mutant for mutant in MUTANTS if mutant.scenario == SMOKE)]
)
async def test_the_checker_tells_the_product_from_its_mutants(
    kafka: LocalKafka, tmp_path: Path, mutant: Mutant | None
) -> None:
    ran = await play(tmp_path, SCENARIOS[SMOKE], mutant, kafka.bootstrap)
    assert ran.held, "\n".join(map(str, ran.verdict.violations[:5]))
