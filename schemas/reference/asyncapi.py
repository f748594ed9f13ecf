"""The AsyncAPI 3.0 document, from the point of view of an application that uses Kafka directly."""

from typing import Any

from headrace.schemas.reference.messages import (
    CANCEL,
    CHUNK,
    DEAD_LETTER,
    FINAL,
    MARK,
    MESSAGES,
    REQUEST,
    SETTING,
    Message,
    header_schema,
)
from headrace.schemas.reference.tables import default_config
from headrace.schemas.topics import Topics

Node = dict[str, Any]
_BINDING = "0.5.0"


def asyncapi_document() -> Node:
    """Channels, operations and messages."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Headrace over Kafka",
            "version": "1",
            "description": _ABOUT,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": _channels(),
        "operations": _operations(),
        "components": {"messages": {message.name: _message(message) for message in MESSAGES}},
    }


_ABOUT = (
    "What an application writes and reads that talks to Headrace through Kafka: it sends requests to"
    " a lane and reads the answers from a topic of its own. CloudEvents in binary mode: attributes"
    " are record headers, the value is the body alone."
)


def _channels() -> Node:
    config = default_config()
    names = Topics(config.kafka.topic_prefix)
    return {
        "requests": _channel(
            f"{names.prefix}requests.{{lane}}",
            "Requests of one lane.",
            (REQUEST,),
            parameters={
                "lane": {
                    "description": "A configured lane.",
                    "enum": [str(lane) for lane in config.lanes],
                },
            },
        ),
        "answers": _channel(
            None,
            "A topic of the application's own, named by each request in `headrace-reply-topic`.",
            (CHUNK, FINAL),
        ),
        "deadLetters": _channel(
            names.dead_letters, "Requests that cannot succeed.", (DEAD_LETTER, MARK)
        ),
        "control": _channel(names.control, "Cancels, keyed by request id.", (CANCEL,)),
        "settings": _channel(names.settings, "What operators have set.", (SETTING,)),
    }


def _channel(address: str | None, about: str, messages: tuple[Message, ...], **more: Node) -> Node:
    return {
        "address": address,
        "description": about,
        "messages": {m.name: _ref(f"components/messages/{m.name}") for m in messages},
        **more,
    }


def _operations() -> Node:
    return {
        "sendRequest": {
            "action": "send",
            "channel": _ref("channels/requests"),
            "summary": "Ask for a completion or for embeddings.",
            "messages": [_ref("channels/requests/messages/request")],
            "reply": {
                "address": {"location": "$message.header#/headrace-reply-topic"},
                "channel": _ref("channels/answers"),
                "messages": [
                    _ref("channels/answers/messages/chunk"),
                    _ref("channels/answers/messages/final"),
                ],
            },
        },
        "cancelRequest": {
            "action": "send",
            "channel": _ref("channels/control"),
            "summary": "Take a request back.",
            "messages": [_ref("channels/control/messages/cancel")],
        },
        "receiveSetting": {
            "action": "receive",
            "channel": _ref("channels/settings"),
            "summary": "See what operators have set.",
            "messages": [_ref("channels/settings/messages/setting")],
        },
        "receiveDeadLetter": {
            "action": "receive",
            "channel": _ref("channels/deadLetters"),
            "summary": "See what cannot succeed.",
            "messages": [
                _ref("channels/deadLetters/messages/dead-letter"),
                _ref("channels/deadLetters/messages/replayed"),
            ],
        },
    }


def _message(message: Message) -> Node:
    headers = header_schema(message)
    del headers["$schema"]
    has_headers = bool(message.headers)
    return {
        "name": message.name,
        "title": message.title,
        "summary": message.about,
        "contentType": "text/event-stream" if message is CHUNK else "application/json",
        **({"headers": headers} if has_headers else {}),
        "payload": {"description": message.value},
        **({"correlationId": {"location": "$message.header#/ce_id"}} if has_headers else {}),
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": message.key},
                "bindingVersion": _BINDING,
            }
        },
    }


def _ref(path: str) -> Node:
    return {"$ref": f"#/{path}"}
