"""Fixtures that every room may use."""

from hypothesis import settings

from support.kafka import kafka, topic_prefix

__all__ = ["kafka", "topic_prefix"]

# Two busy cores are no bug of the code under test; pytest's own time-out bounds a test.
settings.register_profile("headrace", deadline=None)
settings.load_profile("headrace")
