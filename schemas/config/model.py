"""What a configuration may say. One YAML file; everything has a default but `deployments`.

Frozen: a reload builds a whole new `Config` or none. Durations are seconds (`_s`), sizes bytes.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from headrace.schemas.names import DeploymentName, LaneName, ModelName, Tenant

Seconds = Annotated[float, Field(gt=0, le=31 * 86400)]
Count = Annotated[int, Field(ge=1, le=10_000_000)]
Bytes = Annotated[int, Field(ge=1024, le=2**40)]


class Section(BaseModel):
    """Base of every section: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class KafkaSecurity(Section):
    """How clients prove who they are to the brokers."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    username: str | None = None
    password: SecretStr | None = None
    ca_file: str | None = None


class Partitions(Section):
    """Partition counts of the topics. They bound how many dispatchers can share a lane."""

    requests: Annotated[int, Field(ge=1, le=1024)] = 24
    delay: Annotated[int, Field(ge=1, le=256)] = 4
    replies: Annotated[int, Field(ge=1, le=1024)] = 32
    control: Annotated[int, Field(ge=1, le=256)] = 8
    dead_letters: Annotated[int, Field(ge=1, le=256)] = 8
    events: Annotated[int, Field(ge=1, le=256)] = 16


class KafkaConfig(Section):
    """Where Kafka is, and how the topics are laid out."""

    bootstrap_servers: list[str] = ["127.0.0.1:9092"]
    topic_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,100}$")] = "headrace."
    security: KafkaSecurity = KafkaSecurity()
    partitions: Partitions = Partitions()
    replication_factor: Annotated[int, Field(ge=1, le=9)] = 3
    min_insync_replicas: Annotated[int, Field(ge=1, le=9)] = 2
    request_timeout_s: Seconds = 10


class IngressConfig(Section):
    """The HTTP side."""

    listen: str = "0.0.0.0:8080"  # noqa: S104 - a service in a container listens on all addresses
    metrics_listen: str = "0.0.0.0:9090"  # noqa: S104 - scraped from outside the container
    max_body_bytes: Annotated[int, Field(ge=1024, le=4_100_000)] = 4_000_000
    """Below the topics' record limit (4 MiB), so that an accepted body always fits with its headers."""
    max_waiters: Count = 10_000
    """Requests that may wait for their answer in one process; beyond it 429."""
    max_waiting_bytes: Bytes = 268_435_456
    """Bytes of answers and stream chunks held for slow clients in one process (256 MiB)."""
    max_stream_backlog_bytes: Bytes = 1_048_576
    """Bytes held for one slow stream reader before it is cut."""
    max_sync_wait_s: Seconds = 600
    """How long a request waits on its connection; the official clients' own time-out."""
    keepalive_s: Seconds = 10
    """When a waiting stream is answered 200 and how often it then gets a comment."""
    drain_s: Seconds = 30
    kafka_grace_s: Seconds = 2
    """How long a produce may stay without its ack before the client gets a 503."""


class DispatcherConfig(Section):
    """The side that calls upstreams."""

    metrics_listen: str = "0.0.0.0:9091"  # noqa: S104 - scraped from outside the container
    read_ahead_records: Count = 2_000
    """Records read but not yet started, per lane and process."""
    read_ahead_bytes: Bytes = 67_108_864
    """Their bodies together, per lane and process (64 MiB)."""
    partition_window: Annotated[int, Field(ge=16, le=16_384)] = 16_384
    """Offsets of one partition between its oldest unfinished one and its newest read one."""
    lower_lane_share: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    """Share of free seats that goes to lower lanes while a higher one is busy, so that none starves."""
    drain_s: Seconds = 630
    """How long calls may finish after SIGTERM."""
    memory_retry_s: Annotated[float, Field(ge=0, le=10)] = 2
    """Waits up to this stay in memory; longer ones go through the delay topics."""
    memory_retries: Count = 2_000
    """Requests that wait in memory for their next attempt, per process; beyond it: delay topics."""
    max_answer_bytes: Bytes = 67_108_864
    chunk_linger_ms: Annotated[int, Field(ge=0, le=1000)] = 30
    chunk_bytes: Annotated[int, Field(ge=1, le=524_288)] = 1024
    session_timeout_s: Seconds = 8
    heartbeat_s: Seconds = 0.5
    commit_interval_s: Seconds = 0.5
    snap_interval_s: Seconds = 5
    journal_linger_ms: Annotated[int, Field(ge=0, le=1000)] = 5


class LaneConfig(Section):
    """One lane; the order of the lanes is their priority."""

    deadline_s: Seconds
    """Default deadline of a request that names none."""
    longest_s: Seconds | None = None
    """Longest deadline that a client may ask for; default: a day, or `deadline_s` if longer."""

    @property
    def max_deadline_s(self) -> int:
        """The longest deadline in whole seconds."""
        return int(self.longest_s or max(self.deadline_s, 86_400))


class UpstreamConfig(Section):
    """The API behind a deployment."""

    provider: Literal["openai"] = "openai"
    base_url: Annotated[str, Field(pattern=r"^https?://[^\s]+$")]
    model: ModelName | None = None
    """Model name to send; default: the name the client used."""
    api_key: SecretStr | None = None


class DeploymentLimits(Section):
    """What the upstream can take."""

    concurrency: Annotated[int, Field(ge=1, le=100_000)] = 64
    """Calls in flight, per dispatcher process."""


class Timeouts(Section):
    """Bounds on one upstream call."""

    connect_s: Seconds = 5
    first_byte_s: Seconds = 60
    stall_s: Seconds = 30
    total_s: Seconds = 600


class DeploymentConfig(Section):
    """One place to send a model's requests to; several may share one model name."""

    name: DeploymentName
    model: ModelName
    upstream: UpstreamConfig
    weight: Annotated[int, Field(ge=1, le=1000)] = 1
    limits: DeploymentLimits = DeploymentLimits()
    timeouts: Timeouts = Timeouts()


class RetryConfig(Section):
    """The one retry loop of the system."""

    attempts: Annotated[int, Field(ge=1, le=20)] = 3


class ModelConfig(Section):
    """What holds for a model name, whichever deployment serves it."""

    retry: RetryConfig = RetryConfig()


class TenantConfig(Section):
    """What a tenant may use; patterns are shell globs."""

    models: list[str] = ["*"]
    lanes: list[LaneName] | None = None
    keys: list[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]] = []
    """HMAC-SHA-256 digests of the tenant's API keys, in hex; `headrace keys create` prints one."""


class AuthConfig(Section):
    """`open`: one tenant, no key (development). `keys`: every request carries a key of a tenant."""

    mode: Literal["open", "keys"] = "open"
    pepper: SecretStr | None = None

    @model_validator(mode="after")
    def _keys_need_a_pepper(self) -> Self:
        if self.mode == "keys" and self.pepper is None:
            raise ValueError("auth.mode: keys needs auth.pepper")
        return self


def _lanes() -> dict[LaneName, LaneConfig]:
    return {
        LaneName("interactive"): LaneConfig(deadline_s=120),
        LaneName("standard"): LaneConfig(deadline_s=600),
        LaneName("batch"): LaneConfig(deadline_s=86_400),
    }


class Config(Section):
    """The whole configuration."""

    kafka: KafkaConfig = KafkaConfig()
    ingress: IngressConfig = IngressConfig()
    dispatcher: DispatcherConfig = DispatcherConfig()
    lanes: Annotated[dict[LaneName, LaneConfig], Field(min_length=1, max_length=16)] = Field(
        default_factory=_lanes
    )
    default_lane: LaneName | None = None
    """Lane of a request that names none; default `standard`, or else the first."""
    deployments: Annotated[list[DeploymentConfig], Field(min_length=1)]
    models: dict[ModelName, ModelConfig] = {}
    tenants: dict[Tenant, TenantConfig] = {}
    auth: AuthConfig = AuthConfig()

    @property
    def lane_by_default(self) -> LaneName:
        """The lane of a request that names none."""
        if self.default_lane is not None:
            return self.default_lane
        standard = LaneName("standard")
        return standard if standard in self.lanes else next(iter(self.lanes))

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        names = [deployment.name for deployment in self.deployments]
        if len(set(names)) != len(names):
            raise ValueError("two deployments share a name")
        if self.default_lane is not None and self.default_lane not in self.lanes:
            raise ValueError(f"default_lane: no lane is called {self.default_lane}")
        served = {deployment.model for deployment in self.deployments}
        for model in self.models:
            if model not in served:
                raise ValueError(f"models.{model}: no deployment serves it")
        return self
