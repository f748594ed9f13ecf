"""The section about the HTTP side."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from headrace.schemas.config.address import clash
from headrace.schemas.config.section import Address, Bytes, Count, Seconds, Section, conflict


class IngressConfig(Section):
    """The HTTP side."""

    listen: Address = "0.0.0.0:8080"
    """Where clients connect."""
    metrics_listen: Address = "0.0.0.0:9090"
    """Where metrics and health are read; port 0 takes a free one."""
    max_body_bytes: Annotated[int, Field(ge=1024, le=4_100_000)] = 4_000_000
    """Below the topics' record limit (4 MiB), so that an accepted body fits with its headers."""
    max_waiters: Count = 10_000
    """Requests that may wait for their answer in one process; beyond it 429."""
    max_waiting_bytes: Bytes = 268_435_456
    """Bytes of answers and stream chunks held for slow clients in one process (256 MiB)."""
    max_stream_backlog_bytes: Bytes = 1_048_576
    """Bytes held for one stream reader that takes nothing for 5 s before it is cut; at 8 times as many
    it is cut at once."""
    max_sync_wait_s: Seconds = 600
    """How long a request waits on its connection; the official clients' own time-out."""
    keepalive_s: Seconds = 10
    """When a waiting stream is answered 200 and how often it then gets a comment."""
    disconnect_grace_s: Seconds = 30
    """How long a keyed or resumable request runs on without a client before it is cancelled."""
    refuse_hopeless: bool = True
    """Whether a request is refused at once (429) whose wait for a limit by the minute is clearly longer than
    its deadline."""
    drain_s: Seconds = 30
    """How long waiting requests may finish after SIGTERM."""
    kafka_grace_s: Seconds = 2
    """How long a produce may stay without its ack before the client gets a 503."""
    index_dir: str | None = None
    """Folder of the local index of requests; made anew from Kafka when it is gone. Default: a folder
    of the platform's temporary one."""

    @model_validator(mode="after")
    def _ports_are_two(self) -> Self:
        if clash(self.listen, self.metrics_listen):
            raise conflict("metrics_listen", "is the same as listen")
        return self
