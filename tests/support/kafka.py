"""One real Kafka for a whole test session, and names of topics that no other test uses."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from headrace.cli.localkafka import LocalKafka


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalKafka]:
    """A running Apache Kafka; `kafka.bootstrap` is its address."""
    folder: Path = tmp_path_factory.mktemp("kafka")
    async with LocalKafka(folder) as running:
        yield running


@pytest.fixture
def topic_prefix() -> str:
    """A prefix for this test's topics and groups on the shared Kafka."""
    return f"t{uuid.uuid4().hex[:10]}."
