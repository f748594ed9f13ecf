"""Whether the topics are there and may be used, asked of the broker without writing anything.

Metadata version 8 (KIP-430) tells which operations the asking user may do on each topic; aiokafka
speaks it up to version 5. Asked this way, a missing topic is not created by a broker that would
create topics by itself, either.
"""

from collections.abc import Iterable, Mapping
from enum import IntEnum

from aiokafka.errors import TopicAuthorizationFailedError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

from headrace.ingress.kafka.connect import DENIED, MISSING
from headrace.ingress.refusal import Refusal
from headrace.schemas.topics import Topics


class Right(IntEnum):
    """Bits of Kafka's `AclOperation`."""

    READ = 3
    WRITE = 4


class RightsResponse(Response):
    """Metadata, version 8."""

    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            Array(
                ("node_id", Int32),
                ("host", String("utf-8")),
                ("port", Int32),
                ("rack", String("utf-8")),
            ),
        ),
        ("cluster_id", String("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", String("utf-8")),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("operations", Int32),
            ),
        ),
        ("cluster_operations", Int32),
    )


class RightsStruct(RequestStruct):
    """Metadata, version 8."""

    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = RightsResponse
    SCHEMA = Schema(
        ("topics", Array(String("utf-8"))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_operations", Boolean),
        ("include_topic_operations", Boolean),
    )


class RightsRequest(Request[RightsStruct]):
    """Asks for topics and the rights on them."""

    API_KEY = 3

    def __init__(self, topics: list[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[RightsStruct]) -> RightsStruct:
        """The request as it goes over the wire."""
        return request_struct_class(self._topics, False, False, True)


def needed_rights(names: Topics, lanes: Iterable[str]) -> dict[str, tuple[Right, ...]]:
    """What this role does on each topic; `lanes` are the lanes' topics."""
    return {
        **dict.fromkeys((*lanes, names.control), (Right.WRITE,)),
        **dict.fromkeys((names.replies, names.results), (Right.READ,)),
        **dict.fromkeys((names.status, names.claims), (Right.READ, Right.WRITE)),
    }


def lacking(
    needed: Mapping[str, Iterable[Right]], response: RightsResponse
) -> tuple[Refusal, str] | None:
    """What stands against using the `needed` topics, and which of them; None if nothing does."""
    topics = response.get_item("topics")
    found: dict[str, tuple[int, int]] = {entry[1]: (entry[0], entry[4]) for entry in topics}
    for topic, rights in needed.items():
        error_code, operations = found.get(topic, (-1, 0))
        if error_code == TopicAuthorizationFailedError.errno:
            return DENIED, topic
        if error_code:
            return MISSING, topic
        if not all(operations >> right & 1 for right in rights):
            return DENIED, topic
    return None
