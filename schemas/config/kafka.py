"""The sections about Kafka: where it is, how we prove who we are, how topics are laid out."""

from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from headrace.schemas.config.section import PREFIX, Address, Seconds, Section, conflict


class KafkaSecurity(Section):
    """How clients prove who they are to the brokers."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """SASL proves who we are by name and password, SSL encrypts."""
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    """How the password is proven; needed with a SASL protocol."""
    username: str | None = None
    """User of the role, needed with a SASL protocol."""
    password: SecretStr | None = None
    """Its password, needed with a SASL protocol."""
    ca_file: str | None = None
    """PEM file of the authorities that sign the brokers' certificates; default: the system's."""
    allow_insecure: bool = False
    """Allow SASL_PLAINTEXT, which shows the password (PLAIN) or all records to the network."""

    @model_validator(mode="after")
    def _sasl_is_complete(self) -> Self:
        if not self.protocol.startswith("SASL_"):
            if self.password is not None or self.mechanism is not None:
                raise conflict("protocol", f"{self.protocol} proves no password; use SASL_SSL")
            return self
        for key in ("mechanism", "username", "password"):
            if getattr(self, key) is None:
                raise conflict(key, f"{self.protocol} needs it")
        return self


class Partitions(Section):
    """Partition counts of the topics. They bound how many dispatchers can share a lane."""

    requests: Annotated[int, Field(ge=1, le=1024)] = 24
    """Of each lane."""
    delay: Annotated[int, Field(ge=1, le=256)] = 4
    """Of each delay tier."""
    replies: Annotated[int, Field(ge=1, le=1024)] = 32
    """Of `replies` and `results`. Each ingress process reads one; more processes than these share them."""
    control: Annotated[int, Field(ge=1, le=256)] = 8
    """Cancels."""
    dead_letters: Annotated[int, Field(ge=1, le=256)] = 8
    """Dead letters."""
    events: Annotated[int, Field(ge=1, le=256)] = 16
    """Usage and terminal states."""


class KafkaConfig(Section):
    """Where Kafka is, and how the topics are laid out."""

    bootstrap_servers: Annotated[list[Address], Field(min_length=1)] = Field(
        default_factory=lambda: ["127.0.0.1:9092"]
    )
    """Brokers to ask first, `host:port`."""
    topic_prefix: Annotated[str, Field(pattern=PREFIX)] = "headrace."
    """Before the name of every topic and consumer group."""
    security: KafkaSecurity = KafkaSecurity()
    partitions: Partitions = Partitions()
    replication_factor: Annotated[int, Field(ge=1, le=9)] = 3
    """Copies of each record; 1 on a single broker."""
    min_insync_replicas: Annotated[int, Field(ge=1, le=9)] = 2
    """Copies that must exist before a record counts as written."""
    request_timeout_s: Seconds = 10
    """How long one request to a broker may take."""

    @model_validator(mode="after")
    def _copies_can_exist(self) -> Self:
        if self.min_insync_replicas > self.replication_factor:
            above = f"{self.min_insync_replicas} > {self.replication_factor}"
            message = f"is above replication_factor ({above}): nothing could be written"
            raise conflict("min_insync_replicas", message)
        return self
