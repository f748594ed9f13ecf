"""Fixtures that every room may use."""

from support.kafka import kafka, topic_prefix

__all__ = ["kafka", "topic_prefix"]
