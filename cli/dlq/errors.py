"""What can go wrong with dead letters, one tree; Kafka's own troubles are `TopicsError`s.

    DlqError
    ├── LetterNotFound       no dead letter has this id, or it was purged
    ├── TopicMissing         `dead-letters` does not exist
    ├── NothingChosen        an order that would do nothing, or cannot be expressed
    └── NotConfirmed         nobody said yes

Each has a stable code, the command's exit code, and says what to do.
"""

from typing import ClassVar


class DlqError(Exception):
    """The order was not carried out; the message is for the operator."""

    code: ClassVar[str] = "dlq_failed"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class LetterNotFound(DlqError):
    """There is no such letter."""

    code = "dead_letter_not_found"
    exit_code = 4


class NothingChosen(DlqError):
    """Refused by a rule; nothing was changed."""

    code = "dlq_refused"
    exit_code = 11


class NotConfirmed(DlqError):
    """Changes need a yes."""

    code = "not_confirmed"
    exit_code = 15


class TopicMissing(DlqError):
    """The installation has no such topic."""

    code = "kafka_topic_missing"
    exit_code = 16
