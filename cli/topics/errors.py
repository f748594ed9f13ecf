"""What can go wrong with topics, one tree:

    TopicsError
    ├── KafkaUnreachable   no answer in time; also what a wrong password looks like
    ├── KafkaDenied        an ACL is missing
    └── KafkaRefused       Kafka would not create or change a topic, and said why

Each has a stable code and the command's exit code.
"""

from typing import ClassVar


class TopicsError(Exception):
    """The topics could not be read or changed; the message is for the operator."""

    code: ClassVar[str] = "topics_failed"
    exit_code: ClassVar[int] = 1


class KafkaUnreachable(TopicsError):
    """No broker answered in time."""

    code = "kafka_unreachable"
    exit_code = 12


class KafkaDenied(TopicsError):
    """The principal may not describe, create or alter."""

    code = "kafka_denied"
    exit_code = 13


class KafkaRefused(TopicsError):
    """Kafka answered with an error of its own."""

    code = "kafka_refused"
    exit_code = 14
