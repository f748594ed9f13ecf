"""Twelve faults on real processes, one broker for all of them: `python3 dev.py faults --smoke`."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from faults.__main__ import chosen
from faults.rig.case import Case
from faults.rig.run import Brokers, play_case

pytestmark = [
    pytest.mark.smoke,
    pytest.mark.asyncio(loop_scope="session"),
]

SMOKE = chosen("", smoke=True)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def brokers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Brokers]:
    """Started with the first case."""
    one = Brokers(tmp_path_factory.mktemp("brokers"))
    try:
        yield one
    finally:
        await one.close()


@pytest.mark.parametrize("case", SMOKE, ids=lambda case: case.id)
async def test_the_fault_holds(case: Case, brokers: Brokers, tmp_path: Path) -> None:
    row = await play_case(case, brokers, tmp_path / case.id)
    # How fast it held is measured on a quiet machine.
    assert not row.findings, f"{case.id} {case.what}: {row.findings}; logs in {tmp_path}"
