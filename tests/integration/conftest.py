"""One installation for the tests of a module that break nothing in it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from headrace.cli.localkafka import LocalKafka
from support.installation import Installation, installation


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(
    kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    """Ingress, one dispatcher and the mock upstream."""
    async with installation(kafka.bootstrap, tmp_path_factory.mktemp("stack")) as one:
        yield one
