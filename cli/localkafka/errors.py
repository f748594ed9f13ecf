"""Errors of the local Kafka, one tree:

    LocalKafkaError          something a person can mend; the message says how
    ├── DownloadFailed       a jar could not be fetched or has a wrong checksum
    ├── JavaMissing          no Java runtime was found
    ├── FolderInUse          another Kafka runs on the data folder
    └── StartFailed          the JVM ended or did not answer in time; carries the log's end

Their messages are complete sentences for the person at the terminal.
"""


class LocalKafkaError(Exception):
    """Something a person can mend; the message says how."""


class DownloadFailed(LocalKafkaError):
    """A jar could not be fetched, or what came has a wrong checksum."""


class JavaMissing(LocalKafkaError):
    """No Java runtime was found."""


class FolderInUse(LocalKafkaError):
    """Another Kafka runs on the data folder."""


class StartFailed(LocalKafkaError):
    """The JVM ended or did not answer in time; the message carries the end of its log."""
