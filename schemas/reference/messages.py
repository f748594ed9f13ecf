"""The messages on the topics: which headers each carries, as JSON Schemas.

A header's value is UTF-8 text; its schema says what the text looks like. Headers that are not named
here may stand on any record and are ignored.
"""

from dataclasses import dataclass

from headrace.schemas.handover import CHAIN_TYPE
from headrace.schemas.headers import MAX_HISTORY_BYTES, MAX_VALUE_BYTES, MEANING, H
from headrace.schemas.letters import REPLAYED_TYPE
from headrace.schemas.names import Ambiguous, Endpoint, Kind, Outcome
from headrace.schemas.records import REQUEST_TYPE, SPEC_VERSION
from headrace.schemas.reference.config_schema import DIALECT, JsonSchema
from headrace.schemas.replies import CANCEL_TYPE, REPLY_TYPE


@dataclass(frozen=True)
class Message:
    """One kind of record. `key` and `value` say in words what stands there."""

    name: str
    title: str
    about: str
    key: str
    value: str
    required: tuple[H, ...]
    optional: tuple[H, ...]
    type: bytes = b""
    """Its `ce_type`, where it has one of its own."""

    @property
    def headers(self) -> tuple[H, ...]:
        """All headers that belong to it."""
        return self.required + self.optional


_EVENT = (H.ID, H.TYPE, H.SOURCE, H.SPEC)
_ADDRESS = (H.REPLY_TOPIC, H.REPLY_PARTITION, H.REPLY_INSTANCE)
_ASKED = (
    *_EVENT,
    H.TIME,
    H.CONTENT_TYPE,
    H.TRACEPARENT,
    H.TENANT,
    H.LANE,
    H.ENDPOINT,
    H.MODEL,
    H.STREAM,
    H.DEADLINE_MS,
    H.KEY_NAME,
    H.IDEMPOTENCY_KEY,
    *_ADDRESS,
    H.BODY_SHA256,
    H.REPLAYS,
    H.KIND,
    H.NOT_BEFORE_MS,
    H.AMBIGUOUS,
)
_PLACE = (H.SOURCE_TOPIC, H.SOURCE_PARTITION, H.SOURCE_OFFSET)

REQUEST = Message(
    "request",
    "A request",
    "Written by ingress or by any Kafka client. A body and a reply topic are enough.",
    "Any. Ingress spreads each tenant over at most 8 partitions.",
    "The body of the API call, JSON, byte for byte as the client sent it.",
    (),
    _ASKED,
    REQUEST_TYPE,
)
RETRY = Message(
    "retry",
    "A request that waits for its next attempt",
    "The first record with headers added. Written by dispatchers only.",
    "The request id.",
    "That of the request.",
    (H.ATTEMPT, H.DUE_MS, H.HISTORY, *_PLACE, H.ACCEPTED_MS),
    (*_ASKED, H.SOURCE_KEY, H.PARKED_FROM, H.HANDED_ON_FROM),
    REQUEST_TYPE,
)
DEAD_LETTER = Message(
    "dead-letter",
    "A request that cannot succeed",
    "The first record with headers added, so that a replay can make it again.",
    "The request id.",
    "That of the request.",
    (H.REASON, H.HISTORY, *_PLACE),
    (*_ASKED, H.SOURCE_KEY),
    REQUEST_TYPE,
)
MARK = Message(
    "replayed",
    "A dead letter was replayed",
    "Stands after the letter, in its partition; `headrace-source-offset` is the letter's.",
    "The request id of the letter.",
    "None.",
    (*_EVENT, H.SOURCE_OFFSET, H.REPLAYS),
    (H.REPLAYED_AS,),
    REPLAYED_TYPE,
)
CHUNK = Message(
    "chunk",
    "A piece of a streamed answer",
    "In the order of `headrace-seq`; all of one attempt. The first tells who answers.",
    "The request id.",
    "Server-sent events as the upstream sent them; a piece may end anywhere.",
    (*_EVENT, H.SEQ, H.ATTEMPT),
    (H.REPLY_INSTANCE, H.QUEUE_MS, H.UPSTREAM),
    REPLY_TYPE,
)
FINAL = Message(
    "final",
    "The end of an answer",
    "The whole answer, or, after chunks, what is left of it. Above 512 KiB it comes in parts.",
    "The request id.",
    "The body of the upstream's answer, or an error in the API's own shape.",
    (
        *_EVENT,
        H.SEQ,
        H.ATTEMPT,
        H.FINAL,
        H.STATUS,
        H.OUTCOME,
        H.CONTENT_TYPE,
        H.ATTEMPT_COUNT,
        H.QUEUE_MS,
        H.UPSTREAM,
    ),
    (H.REPLY_INSTANCE, H.WHOLE, H.PART, H.CODE, H.RETRY_AFTER_MS, H.UPSTREAM_HEADERS),
    REPLY_TYPE,
)
CANCEL = Message(
    "cancel",
    "A request is no longer wanted",
    "It is not started any more, and aborted if it runs. Tenant and id name it, as two tenants may use "
    "the same id: one that names no tenant takes back a request of `default` only.",
    "The request id.",
    "Empty.",
    (*_EVENT, H.DEADLINE_MS),
    (H.TENANT,),
    CANCEL_TYPE,
)
CHAIN = Message(
    "chain",
    "Who may hand a request on from here",
    "Written by the dispatcher that takes a request over after a crash, or whose parked call has ended.",
    "The request id.",
    "Empty.",
    (H.TYPE, H.CHAIN),
    (),
    CHAIN_TYPE,
)
SETTING = Message(
    "setting",
    "What an operator has set",
    "A pause, changed limits or a forced breaker. Of one place the highest version counts, of two equal"
    " ones the first in the log; `headrace pause` and `headrace limits set` write them.",
    "`<place>/<version>/<nonce>`; places: `pause/<scope>/<name>`, `limit/<scope>`, `breaker/<deployment>`.",
    "A JSON object: `kind` (`pause`, `limit`, `breaker`), `version`, `reason`, `by`, `at_ms`, `until_ms`;"
    " then `verb`, `scope`, `name`; or `scope` and limits by their names in the configuration; or"
    " `deployment` and `state`. None: the record with this key is deleted.",
    (),
    (),
)
MESSAGES = (REQUEST, RETRY, DEAD_LETTER, MARK, CHUNK, FINAL, CANCEL, CHAIN, SETTING)

_NUMBERS = (
    *(H.DEADLINE_MS, H.ATTEMPT, H.DUE_MS, H.SEQ, H.STATUS, H.RETRY_AFTER_MS, H.ATTEMPT_COUNT),
    *(H.QUEUE_MS, H.SOURCE_PARTITION, H.SOURCE_OFFSET, H.ACCEPTED_MS, H.REPLAYS),
    *(H.REPLY_PARTITION, H.NOT_BEFORE_MS),
)
_PATTERNS: dict[H, str] = {
    **dict.fromkeys(_NUMBERS, r"^[0-9]{1,15}$"),
    H.TIME: r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?Z$",
    H.BODY_SHA256: r"^[0-9a-f]{64}$",
    H.PART: r"^[0-9]+/[0-9]+$",
    H.FINAL: r"^1$",
    H.WHOLE: r"^1$",
    H.STREAM: r"^[01]$",
}
_WORDS: dict[H, tuple[str, ...]] = {
    H.ENDPOINT: tuple(word.value for word in Endpoint),
    H.OUTCOME: tuple(word.value for word in Outcome),
    H.KIND: tuple(word.value for word in Kind),
    H.AMBIGUOUS: tuple(word.value for word in Ambiguous),
    H.SPEC: (SPEC_VERSION.decode(),),
}
_LONG: dict[H, int] = {H.HISTORY: MAX_HISTORY_BYTES, H.UPSTREAM_HEADERS: 8 * MAX_VALUE_BYTES}


def header_schema(message: Message) -> JsonSchema:
    """The JSON Schema of the headers of one message, as a mapping of names to texts."""
    return {
        "$schema": DIALECT,
        "title": message.title,
        "description": message.about,
        "type": "object",
        "properties": {str(name): _header(name, message) for name in message.headers},
        "required": [str(name) for name in message.required],
    }


def _header(name: H, message: Message) -> JsonSchema:
    schema: JsonSchema = {"type": "string", "description": MEANING[name]}
    if name in _PATTERNS:
        return {**schema, "pattern": _PATTERNS[name]}
    if name is H.TYPE:
        return {**schema, "const": message.type.decode()}
    if name in _WORDS:
        return {**schema, "enum": [*_WORDS[name]]}
    return {**schema, "maxLength": _LONG.get(name, MAX_VALUE_BYTES)}
