"""A running mock upstream, on the test's own event loop."""

from collections.abc import AsyncIterator

import pytest

from headrace.cli.mock import MockUpstream


@pytest.fixture
async def upstream() -> AsyncIterator[MockUpstream]:
    """A mock with nothing configured."""
    async with MockUpstream() as running:
        yield running
