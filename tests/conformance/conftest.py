"""The official client twice: at Headrace, and at the mock upstream itself."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from headrace.cli.localkafka import LocalKafka
from support.installation import Installation, installation
from support.official import Pair, pair_of

QUICK = {"stall_s": 4, "first_byte_s": 60}


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def running(
    kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    """One dispatcher; the model `once` is called once whatever happens, `small` as usual."""
    async with installation(
        kafka.bootstrap,
        tmp_path_factory.mktemp("stack"),
        models={"small": {"timeouts": QUICK}, "once": {"timeouts": QUICK}},
        overlay={"models": {"once": {"retry": {"attempts": 1}}}},
    ) as one:
        yield one


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def pair(running: Installation) -> AsyncIterator[Pair]:
    """Both clients."""
    async with pair_of(running.url, running.upstream_url) as clients:
        yield clients
