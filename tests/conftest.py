"""Fixtures that every room may use."""

import signal
from pathlib import Path

import pytest
from hypothesis import settings

from support.clock import clock
from support.kafka import kafka, topic_prefix

__all__ = ["clock", "kafka", "topic_prefix"]

# Two busy cores are no bug of the code under test; pytest's own time-out bounds a test.
settings.register_profile("headrace", deadline=None)
settings.load_profile("headrace")

# A shell starts what runs in its background with SIGINT ignored, which the processes of a test would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)

LONGEST_FIRST = (
    *("test_crashes.py", "demo", "governor_role", "integration", "simulation", "faults"),
    *("test_up.py", "kafka", "test_kafka_away.py", "conformance", "cli"),
)
"""Files and folders that take longest; begun last, one of them would keep one process busy alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; the order inside a file stays."""

    def rank(item: pytest.Item) -> int:
        folders = Path(item.path).parts
        return next(
            (n for n, one in enumerate(LONGEST_FIRST) if one in folders), len(LONGEST_FIRST)
        )

    items.sort(key=rank)
