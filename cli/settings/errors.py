"""What stands against a change of the settings, one tree; Kafka's own troubles are `TopicsError`s.

    SettingsError
    ├── Refused         against a rule; nothing was written
    ├── TopicMissing    `settings` does not exist
    └── Conflict        somebody else changed the same thing meanwhile, and theirs counts

Each has a stable code and the command's exit code.
"""

from typing import ClassVar


class SettingsError(Exception):
    """Nothing was changed; the message is for the operator."""

    code: ClassVar[str] = "settings_failed"
    exit_code: ClassVar[int] = 1


class Refused(SettingsError):
    """It would contradict the configuration or another setting."""

    code = "setting_refused"
    exit_code = 11


class TopicMissing(SettingsError):
    """The installation has no such topic."""

    code = "kafka_topic_missing"
    exit_code = 16


class Conflict(SettingsError):
    """Another operator's change counts, and this one does not."""

    code = "settings_conflict"
    exit_code = 17
