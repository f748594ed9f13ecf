"""Names of the record headers, each with its meaning; the reference in docs/ is generated from here.

Header values are UTF-8 text without control characters, at most `MAX_VALUE_BYTES` long (histories
excepted), each name at most once. Names are compared exactly: Kafka headers have no case folding.
"""

from enum import StrEnum

MAX_VALUE_BYTES = 1024
MAX_HISTORY_BYTES = 2048
"""The attempt history of a dead letter; a header that grows with each retry ends in RecordTooLarge."""


class H(StrEnum):
    """Headers of requests, replies, dead letters and cancels."""

    ID = "ce_id"
    TYPE = "ce_type"
    SOURCE = "ce_source"
    SPEC = "ce_specversion"
    TIME = "ce_time"
    CONTENT_TYPE = "content-type"
    TRACEPARENT = "traceparent"
    TENANT = "headrace-tenant"
    LANE = "headrace-lane"
    ENDPOINT = "headrace-endpoint"
    MODEL = "headrace-model"
    STREAM = "headrace-stream"
    DEADLINE_MS = "headrace-deadline-ms"
    ATTEMPT = "headrace-attempt"
    DUE_MS = "headrace-due-ms"
    IDEMPOTENCY_KEY = "headrace-idempotency-key"
    REPLY_TOPIC = "headrace-reply-topic"
    REPLY_PARTITION = "headrace-reply-partition"
    REPLY_INSTANCE = "headrace-reply-instance"
    BODY_SHA256 = "headrace-body-sha256"
    SEQ = "headrace-seq"
    FINAL = "headrace-final"
    WHOLE = "headrace-whole"
    PART = "headrace-part"
    STATUS = "headrace-status"
    OUTCOME = "headrace-outcome"
    CODE = "headrace-code"
    RETRY_AFTER_MS = "headrace-retry-after-ms"
    ATTEMPT_COUNT = "headrace-attempt-count"
    QUEUE_MS = "headrace-queue-ms"
    UPSTREAM = "headrace-upstream"
    UPSTREAM_HEADERS = "headrace-upstream-headers"
    REASON = "headrace-reason"
    SOURCE_TOPIC = "headrace-source-topic"
    SOURCE_PARTITION = "headrace-source-partition"
    SOURCE_OFFSET = "headrace-source-offset"
    HISTORY = "headrace-attempts"
    SOURCE_KEY = "headrace-source-key"
    ACCEPTED_MS = "headrace-accepted-ms"
    REPLAYS = "headrace-replays"
    KIND = "headrace-kind"
    NOT_BEFORE_MS = "headrace-not-before-ms"
    AMBIGUOUS = "headrace-ambiguous"
    PARKED_FROM = "headrace-parked-from"
    REPLAYED_AS = "headrace-replayed-as"
    HANDED_ON_FROM = "headrace-handed-on-from"
    CHAIN = "headrace-chain"
    KEY_NAME = "headrace-key-name"


MEANING: dict[H, str] = {
    H.ID: "Request id; the answer carries the same. Missing: `<topic>-<partition>-<offset>`.",
    H.TYPE: "CloudEvents type: `headrace.request`, `headrace.reply`, `headrace.cancel`, `headrace.replayed`, "
    "`headrace.chain`.",
    H.SOURCE: "CloudEvents source: the process that wrote the record.",
    H.SPEC: "CloudEvents version, `1.0`.",
    H.TIME: "When the request was accepted, RFC 3339 in UTC.",
    H.CONTENT_TYPE: "Media type of the value.",
    H.TRACEPARENT: "W3C trace context of the caller, passed on to the upstream.",
    H.TENANT: "Who pays and who may read. Default `default`.",
    H.LANE: "Priority lane. On a request record the topic decides; here it is for readers.",
    H.ENDPOINT: "`chat/completions`, `completions` or `embeddings`. Missing: told from the body.",
    H.MODEL: "Model name as the client wrote it. Missing: read from the body.",
    H.STREAM: "`1` if the client asked for a stream. Missing: read from the body.",
    H.DEADLINE_MS: "Absolute deadline, epoch milliseconds by the broker's clock.",
    H.ATTEMPT: "On a request: number of the next attempt, from 1. On a reply: the attempt it is of.",
    H.DUE_MS: "On a delay topic: not before this time, epoch milliseconds by the broker's clock.",
    H.IDEMPOTENCY_KEY: "The caller's idempotency key.",
    H.REPLY_TOPIC: "Topic that gets the answer.",
    H.REPLY_PARTITION: "Partition that gets the answer. Missing: by key, which is the request id.",
    H.REPLY_INSTANCE: "Ingress process that waits for the answer.",
    H.BODY_SHA256: "SHA-256 of the value in hex; checked where present.",
    H.SEQ: "Order of a reply record within its attempt, from 1, without gaps.",
    H.FINAL: "`1` on the last reply record; its seq therefore tells how many precede it.",
    H.WHOLE: "`1` on the final of a stream whose value holds the stream's whole text, chunks included.",
    H.PART: "`i/n`: this record is part i of n of one long final answer.",
    H.STATUS: "HTTP status of the answer.",
    H.OUTCOME: "Terminal state: completed, failed, expired, cancelled or dead_lettered.",
    H.CODE: "Stable error code, where the answer is an error made by Headrace.",
    H.RETRY_AFTER_MS: "How long the client should wait before it tries again.",
    H.ATTEMPT_COUNT: "Upstream calls made for the request so far.",
    H.QUEUE_MS: "Milliseconds from acceptance to the first upstream call.",
    H.UPSTREAM: "Name of the deployment that answered.",
    H.UPSTREAM_HEADERS: "JSON object of the upstream's response headers that are passed on.",
    H.REASON: "Why the record was dead-lettered.",
    H.SOURCE_TOPIC: "Topic the dead letter (or retry) came from.",
    H.SOURCE_PARTITION: "Partition the dead letter (or retry) came from.",
    H.SOURCE_OFFSET: "Offset the dead letter (or retry) came from.",
    H.SOURCE_KEY: "Key of the record that the dead letter (or retry) was made of.",
    H.ACCEPTED_MS: "On a delay topic: timestamp of the first record, from which default deadlines count.",
    H.HISTORY: "JSON list of the attempts so far: when, deployment, status, error code.",
    H.REPLAYS: "How often the dead letter was replayed.",
    H.KIND: "`job`, `keyed` or `resumable`: states go to `status`, the answer to `results`. Missing: plain.",
    H.NOT_BEFORE_MS: "Not sent before this time, epoch milliseconds by the broker's clock.",
    H.AMBIGUOUS: "`retry`, `fail` or `park` a call that a crash cut short. Default: the model's setting.",
    H.PARKED_FROM: "On a delay topic: where it runs, `<topic>-<partition>-<offset>;<attempt>;<session>`.",
    H.HANDED_ON_FROM: "On a delay topic: the record before this one and who wrote it on, as above.",
    H.CHAIN: "On a delay topic: whose hand-overs count from here, `<place>;<session>;<epoch>;<until ms>`.",
    H.KEY_NAME: "Name of the caller's API key, where that key has limits of its own; written by ingress. "
    "Missing: the tenant's limits alone.",
    H.REPLAYED_AS: "On the mark of a replay: its request id, where that is a new one.",
}

ALIASES: dict[str, H] = {
    "reply-topic": H.REPLY_TOPIC,
    "reply-partition": H.REPLY_PARTITION,
    "kafka_correlationId": H.ID,
    "kafka_replyTopic": H.REPLY_TOPIC,
    "kafka_replyPartition": H.REPLY_PARTITION,
}
"""Names that other clients use. Spring's partition is a 4-byte big-endian integer; both forms are read."""

RETRY_STATE: frozenset[str] = frozenset(
    (
        H.ATTEMPT,
        H.HISTORY,
        H.DUE_MS,
        H.SOURCE_TOPIC,
        H.SOURCE_PARTITION,
        H.SOURCE_OFFSET,
        H.SOURCE_KEY,
        H.ACCEPTED_MS,
        H.REASON,
        H.PARKED_FROM,
        H.HANDED_ON_FROM,
    )
)
"""Headers that a retry or a dead letter adds to the original ones; what is made of it takes them off."""
