"""One installation for the tests of a module that break nothing in it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from headrace.cli.localkafka import LocalKafka
from support.http_client import Client
from support.installation import Installation, installation

MODELS = {
    "small": {},
    "one-seat": {"limits": {"process_concurrency": 1}},
    "five-seats": {"limits": {"process_concurrency": 5}},
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(
    kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    """Ingress, one dispatcher and the mock upstream; streams are kept alive every half second."""
    async with installation(
        kafka.bootstrap,
        tmp_path_factory.mktemp("stack"),
        models=MODELS,
        # Many requests in a row fail on purpose, all at one deployment.
        overlay={"ingress": {"keepalive_s": 0.5}, "breaker": {"mode": "metrics-only"}},
    ) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="session")
async def client(running: Installation) -> AsyncIterator[Client]:
    """At Headrace."""
    async with Client(running.url) as client:
        yield client
