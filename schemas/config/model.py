"""What a configuration may say. One YAML file; everything has a default but `deployments`.

Frozen: a reload builds a whole new `Config` or none. Durations are seconds (`_s`), sizes bytes.
"""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError

from headrace.schemas.config.agreement import findings
from headrace.schemas.config.auth import AuthConfig
from headrace.schemas.config.breaker import BreakerConfig
from headrace.schemas.config.governor import GovernorConfig
from headrace.schemas.config.ingress import IngressConfig
from headrace.schemas.config.kafka import KafkaConfig, KafkaSecurity, Partitions
from headrace.schemas.config.limits import DeploymentLimits, Limits, PoolConfig, Rates, any_of
from headrace.schemas.config.section import (
    BASE_URL,
    Address,
    Bytes,
    Count,
    LaneKey,
    Name,
    Seconds,
    Section,
    Share,
    TenantKey,
    conflict,
)
from headrace.schemas.config.tenants import KeyConfig, TenantConfig
from headrace.schemas.names import DeploymentName, LaneName, ModelName

__all__ = [
    "AuthConfig",
    "BreakerConfig",
    "Config",
    "DeploymentConfig",
    "DeploymentLimits",
    "DispatcherConfig",
    "GovernorConfig",
    "IngressConfig",
    "KafkaConfig",
    "KafkaSecurity",
    "KeyConfig",
    "LaneConfig",
    "Limits",
    "ModelConfig",
    "Partitions",
    "PoolConfig",
    "Rates",
    "RetryConfig",
    "Section",
    "TenantConfig",
    "Timeouts",
    "UpstreamConfig",
]


class DispatcherConfig(Section):
    """The side that calls upstreams."""

    metrics_listen: Address = "0.0.0.0:9091"
    """Where metrics and health are read; port 0 takes a free one."""
    read_ahead_records: Count = 2_000
    """Records read but not yet started, per lane and process."""
    read_ahead_bytes: Bytes = 67_108_864
    """Their bodies together, per lane and process (64 MiB)."""
    partition_window: Annotated[int, Field(ge=16, le=16_384)] = 16_384
    """Offsets of one partition between its oldest unfinished one and its newest read one."""
    lower_lane_share: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    """Share of free seats for lower lanes while a higher one is busy, so that none starves."""
    drain_s: Seconds = 630
    """How long calls may finish after SIGTERM."""
    memory_retry_s: Annotated[float, Field(ge=0, le=10)] = 2
    """Waits up to this stay in memory; longer ones go through the delay topics."""
    memory_retries: Count = 2_000
    """Requests that wait in memory for their next attempt, per process; beyond it: delay topics."""
    park_after_s: Seconds = 30
    """A call that runs this long with many done behind it is no longer waited for by its partition."""
    park_behind: Count = 1_000
    """How many done behind it are many."""
    max_answer_bytes: Bytes = 67_108_864
    """Longest answer of an upstream (64 MiB)."""
    chunk_linger_ms: Annotated[int, Field(ge=0, le=1000)] = 30
    """After its first piece, a stream's pieces are gathered this long into one record."""
    chunk_bytes: Annotated[int, Field(ge=1, le=524_288)] = 1024
    """A gathered piece of this size goes at once."""
    session_timeout_s: Seconds = 8
    """A dispatcher not heard of for this long loses its partitions to the others."""
    heartbeat_s: Seconds = 0.25
    """How often it is heard of; at most a third of the session time-out."""
    commit_interval_s: Seconds = 0.5
    """How often finished offsets are committed."""
    snap_interval_s: Seconds = 5
    """How often the journal gets a snapshot, which bounds what a successor reads."""
    journal_linger_ms: Annotated[int, Field(ge=0, le=1000)] = 5
    """How long journal entries are gathered into one record."""

    @model_validator(mode="after")
    def _heartbeats_fit(self) -> Self:
        if self.heartbeat_s > self.session_timeout_s / 3:
            raise conflict("heartbeat_s", "is above a third of session_timeout_s")
        return self


class LaneConfig(Section):
    """One lane; the order of the lanes is their priority."""

    deadline_s: Seconds
    """Default deadline of a request that names none."""
    longest_s: Seconds | None = None
    """Longest deadline that a client may ask for; default: a day, or `deadline_s` if longer."""
    reserve: Share = 0
    """Share of every limit that the other lanes leave to this one: `0.1` or `10%`."""
    order: Literal["fifo", "edf"] = "fifo"
    """Among a tenant's requests that wait: the oldest first, or that with the earliest deadline."""

    @property
    def max_deadline_s(self) -> int:
        """The longest deadline in whole seconds."""
        return int(self.longest_s or max(self.deadline_s, 86_400))

    @model_validator(mode="after")
    def _default_is_allowed(self) -> Self:
        if self.longest_s is not None and self.longest_s < self.deadline_s:
            raise conflict("longest_s", "is below deadline_s")
        return self


def _without_user(url: str) -> str:
    parts = urlsplit(url)
    if not parts.hostname or parts.port == 0:  # reading a port above 65535 raises as well
        raise ValueError("a base URL has a host, and a port that can be")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("a base URL has no user, query or fragment; a key goes into api_key")
    return url


class UpstreamConfig(Section):
    """The API behind a deployment."""

    provider: Literal["openai"] = "openai"
    """Which API it speaks."""
    base_url: Annotated[str, Field(pattern=BASE_URL), AfterValidator(_without_user)]
    """The URL before `/chat/completions`."""
    model: Annotated[ModelName, Name] | None = None
    """Model name to send; default: the name the client used."""
    api_key: SecretStr | None = None
    """Sent as `Authorization: Bearer`."""


class Timeouts(Section):
    """Bounds on one upstream call."""

    connect_s: Seconds = 5
    """Until the connection stands."""
    first_byte_s: Seconds = 60
    """From the request to the first byte of a stream. A plain answer begins when it is whole: `total_s`."""
    stall_s: Seconds = 30
    """Between two pieces of a stream."""
    total_s: Seconds = 600
    """The whole call."""


class DeploymentConfig(Section):
    """One place to send a model's requests to; several may share one model name."""

    name: Annotated[DeploymentName, Name]
    """Unique; seen in metrics, logs and the header `headrace-upstream`."""
    model: Annotated[ModelName, Name]
    """The name that clients use."""
    upstream: UpstreamConfig
    weight: Annotated[int, Field(ge=1, le=1000)] = 1
    """Its share among the deployments of the same model."""
    limits: DeploymentLimits = DeploymentLimits()
    timeouts: Timeouts = Timeouts()


class RetryConfig(Section):
    """The one retry loop of the system."""

    attempts: Annotated[int, Field(ge=1, le=20)] = 3
    """Upstream calls that count, the first one included; then the request is dead-lettered."""
    budget: Annotated[float, Field(ge=0, le=10)] = 0.2
    """Repeats of failed calls for each first call of the last minute; beyond it repeats wait."""
    budget_floor_per_s: Annotated[float, Field(gt=0, le=100_000)] = 10
    """Repeats a second that are allowed besides, by all dispatchers together."""


class ModelConfig(Section):
    """What holds for a model name, whichever deployment serves it."""

    retry: RetryConfig = RetryConfig()
    ambiguous: Literal["retry", "fail", "park"] = "retry"
    """What becomes of a call that a crash cut short after it may have reached the upstream."""
    reserve: Literal["estimate", "hard"] = "estimate"
    """Tokens that are reserved for a request where tokens are limited: `estimate` by what the model's and
    the tenant's answers needed, `hard` what it cannot exceed (docs/tokens.md)."""
    most_output_tokens: Count | None = None
    """The longest answer of the model; the bound of a request that states no `max_tokens`. With `reserve:
    hard` and without it such a request is refused (`request_unbounded`)."""
    media_tokens: Count | None = None
    """Tokens of an image, a sound or a file. `reserve: hard` takes it for their bound, and refuses them
    without it; `estimate` begins with it (1,500), then learns."""
    limits: Limits = Limits()
    """What all deployments of the model may be sent together."""


def default_lanes() -> dict[LaneName, LaneConfig]:
    return {
        LaneName("interactive"): LaneConfig(deadline_s=120),
        LaneName("standard"): LaneConfig(deadline_s=600),
        LaneName("batch"): LaneConfig(deadline_s=86_400),
    }


class Config(Section):
    """The whole configuration."""

    development: bool = False
    """Allows secrets in plain text and passwords without TLS. Never in production."""
    kafka: KafkaConfig = KafkaConfig()
    ingress: IngressConfig = IngressConfig()
    dispatcher: DispatcherConfig = DispatcherConfig()
    governor: GovernorConfig = GovernorConfig()
    breaker: BreakerConfig = BreakerConfig()
    lanes: Annotated[dict[LaneKey, LaneConfig], Field(min_length=1, max_length=16)] = Field(
        default_factory=default_lanes
    )
    """The lanes, the most urgent first."""
    default_lane: LaneName | None = None
    """Lane of a request that names none; default `standard`, or else the first."""
    deployments: Annotated[list[DeploymentConfig], Field(min_length=1)]
    """Where requests are sent to."""
    models: dict[ModelName, ModelConfig] = Field(default_factory=dict)
    """Settings of models, by the name that clients use."""
    tenants: dict[TenantKey, TenantConfig] = Field(default_factory=dict)
    """Who may use what, by tenant."""
    pools: dict[Annotated[str, Name], PoolConfig] = Field(default_factory=dict)
    """Limits that several deployments share, such as those of one account."""
    auth: AuthConfig = AuthConfig()

    @property
    def lane_by_default(self) -> LaneName:
        """The lane of a request that names none."""
        if self.default_lane is not None:
            return self.default_lane
        standard = LaneName("standard")
        return standard if standard in self.lanes else next(iter(self.lanes))

    @property
    def limited(self) -> bool:
        """Whether anything has a limit that a governor keeps."""
        limits: list[Limits] = [one.limits for one in self.deployments]
        limits += [one.limits for one in self.pools.values()]
        limits += [one.limits for one in self.models.values()]
        limits += [one.limits for one in self.tenants.values()]
        limits += [key.limits for one in self.tenants.values() for key in one.keys]
        return any(map(any_of, limits))

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        for finding in findings(self.model_dump(), self.lanes):
            if finding.fatal:
                raise PydanticCustomError("disagreement", "{finding}", {"finding": str(finding)})
        return self
