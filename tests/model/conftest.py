"""A real llama.cpp server with a real model as the upstream. Only `make test-model` runs these tests."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from headrace.cli.localkafka import LocalKafka
from support.installation import Installation, installation
from support.official import Pair, pair_of


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def running(
    kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    """Ingress, two dispatchers, the model; everything as `headrace up --local-model` has it."""
    folder = tmp_path_factory.mktemp("model")
    async with installation(kafka.bootstrap, folder, dispatchers=2, local_model=True) as one:
        yield one


@pytest.fixture(scope="package")
def server(running: Installation) -> str:
    """The base URL of the model itself."""
    return f"http://127.0.0.1:{running.stack.layout.model}/v1"


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def pair(running: Installation, server: str) -> AsyncIterator[Pair]:
    """Clients of Headrace and of the model."""
    async with pair_of(running.url, server) as clients:
        yield clients
