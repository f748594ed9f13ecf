"""What is committed under docs/reference/ is what the code says, and is valid of its kind.

asyncapi-3.0.0.json is the schema published as @asyncapi/specs 6.11.1 (Apache-2.0), without its
descriptions, its examples and the bindings of protocols other than Kafka.
"""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.generate import documents
from headrace.schemas.headers import H
from headrace.schemas.names import Outcome, RequestId
from headrace.schemas.records import Attempt, Headers, RequestRecord, encode
from headrace.schemas.reference import messages
from headrace.schemas.reference.config_schema import config_schema
from headrace.schemas.replies import Cancel, Reply, encode_cancel
from headrace.schemas.replies import encode as encode_reply
from headrace.schemas.retries import Source, dead_letter_headers, retry_headers
from headrace.schemas.topics import TIERS
from support.contract import ATTEMPTS, CHUNKS, FINALS, REQUESTS

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
DOCUMENTS = documents()
ASYNCAPI = json.loads((Path(__file__).parent / "asyncapi-3.0.0.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_committed_document_is_what_the_code_says(name: str) -> None:
    committed = (REFERENCE / name).read_text(encoding="utf-8")
    assert committed == DOCUMENTS[name], "run: python -m headrace.schemas.generate"


def test_the_asyncapi_document_is_valid() -> None:
    document = yaml.safe_load(DOCUMENTS["asyncapi.yaml"])
    jsonschema.Draft7Validator(ASYNCAPI).validate(document)


def test_every_reference_in_the_asyncapi_document_leads_somewhere() -> None:
    document = yaml.safe_load(DOCUMENTS["asyncapi.yaml"])
    for reference in references(document):
        node: Any = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]


def references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [found for item in node for found in references(item)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
    return own + [found for value in node.values() for found in references(value)]


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name.endswith(".schema.json")])
def test_a_json_schema_is_valid(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(DOCUMENTS[name]))


def test_every_header_belongs_to_a_message() -> None:
    assert {name for message in messages.MESSAGES for name in message.headers} == set(H)


def check(message: messages.Message, headers: Headers) -> None:
    schema = messages.header_schema(message)
    texts = {name: value.decode() for name, value in headers}
    jsonschema.Draft202012Validator(schema).validate(texts)
    assert texts.keys() <= schema["properties"].keys()


SHA256 = st.just("") | st.text("0123456789abcdef", min_size=64, max_size=64)
SOURCE = Source("requests.batch", 3, 17, b"acme#1", 1_700_000_000_000)


@given(REQUESTS, SHA256)
def test_requests_carry_the_headers_that_the_schema_names(
    request: RequestRecord, sha256: str
) -> None:
    request.body_sha256 = sha256
    check(messages.REQUEST, encode(request, b"ingress-1"))


@given(REQUESTS, st.lists(ATTEMPTS, max_size=3).map(tuple))
def test_retries_and_dead_letters_carry_theirs(
    request: RequestRecord, history: tuple[Attempt, ...]
) -> None:
    request.body_sha256 = ""
    first = encode(request, b"ingress-1")
    retry = retry_headers(first, SOURCE, attempt=2, due_ms=1, history=history)
    check(messages.RETRY, retry)
    check(messages.DEAD_LETTER, dead_letter_headers(retry, SOURCE, reason="x", history=history))


@given(CHUNKS)
def test_chunks_carry_theirs(reply: Reply) -> None:
    check(messages.CHUNK, encode_reply(reply, b"dispatcher-1"))


@given(FINALS, st.sampled_from(Outcome))
def test_finals_carry_theirs(reply: Reply, outcome: Outcome) -> None:
    reply.outcome = outcome
    reply.upstream_headers = b"{}"
    check(messages.FINAL, encode_reply(reply, b"dispatcher-1"))


def test_cancels_carry_theirs() -> None:
    check(messages.CANCEL, encode_cancel(Cancel(RequestId("r-1"), 1), b"ingress-1"))


def test_every_key_of_the_configuration_is_described() -> None:
    sections = [config_schema(), *config_schema()["$defs"].values()]
    fields = [field for section in sections for field in section.get("properties", {}).items()]
    assert [
        name for name, field in fields if "description" not in field and "$ref" not in field
    ] == []


def test_every_delay_tier_is_in_the_reference() -> None:
    assert all(f"delay.<lane>.{tier}`" in DOCUMENTS["topics.md"] for tier in TIERS)
