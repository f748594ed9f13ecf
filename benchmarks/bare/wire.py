"""What the two processes of the bare loop share: topics, and eight headers a record."""

from dataclasses import dataclass

from aiokafka import AIOKafkaProducer

REQUEST_PARTITIONS = 8
"""As many as one tenant reaches on a lane of the product."""

Headers = list[tuple[str, bytes]]


@dataclass(frozen=True)
class BareTopics:
    """The two topics of one bare loop."""

    requests: str
    replies: str


def bare_topics(prefix: str) -> BareTopics:
    """Their names under a prefix."""
    return BareTopics(f"{prefix}requests", f"{prefix}replies")


def bare_producer(bootstrap: str) -> AIOKafkaProducer:
    """Idempotent, acks=all, no linger."""
    return AIOKafkaProducer(
        bootstrap_servers=bootstrap, enable_idempotence=True, acks="all", linger_ms=0
    )


def request_headers(request_id: str, model: str) -> Headers:
    """Eight headers of a request."""
    return [
        ("ce_id", request_id.encode()),
        ("ce_type", b"bare.request"),
        ("ce_source", b"bare"),
        ("content-type", b"application/json"),
        ("headrace-tenant", b"bench"),
        ("headrace-model", model.encode()),
        ("headrace-reply-partition", b"0"),
        ("headrace-reply-instance", b"bare-1"),
    ]


def reply_headers(request_id: bytes, status: int) -> Headers:
    """Eight headers of a reply."""
    return [
        ("ce_id", request_id),
        ("ce_type", b"bare.reply"),
        ("ce_source", b"bare"),
        ("content-type", b"application/json"),
        ("headrace-seq", b"1"),
        ("headrace-final", b"1"),
        ("headrace-attempt", b"1"),
        ("headrace-status", str(status).encode()),
    ]
