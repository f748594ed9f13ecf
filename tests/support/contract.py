"""Hypothesis strategies for the records of the contract."""

from hypothesis import strategies as st

from headrace.schemas.names import (
    DeploymentName,
    Endpoint,
    InstanceId,
    LaneName,
    ModelName,
    Outcome,
    RequestId,
    Tenant,
)
from headrace.schemas.records import Attempt, ReplyTo, RequestRecord
from headrace.schemas.replies import Reply

TEXT = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), max_size=100)
NAME = TEXT.filter(bool)
NUMBER = st.integers(0, 10**15 - 1)
REQUESTS = st.builds(
    RequestRecord,
    id=NAME.map(RequestId),
    body=st.binary(),
    tenant=NAME.map(Tenant),
    lane=TEXT.map(LaneName),
    endpoint=st.none() | st.sampled_from(Endpoint),
    model=TEXT.map(ModelName),
    stream=st.none() | st.booleans(),
    deadline_ms=NUMBER,
    reply=st.none()
    | st.builds(
        ReplyTo,
        NAME,
        st.none() | st.integers(0, 10**6),
        st.none() | NAME.map(InstanceId),
    ),
    traceparent=TEXT.map(str.encode),
    idempotency_key=TEXT,
    body_sha256=TEXT,
)
ATTEMPTS = st.builds(
    Attempt, NUMBER, NUMBER, NAME.map(DeploymentName), st.integers(0, 599), TEXT, st.booleans()
)
COUNT = st.integers(1, 10**6)
ID = TEXT.filter(bool).map(RequestId)
INSTANCE = st.none() | TEXT.filter(bool).map(InstanceId)
CHUNKS = st.builds(
    Reply,
    id=ID,
    body=st.binary(),
    seq=COUNT,
    attempt=COUNT,
    instance=INSTANCE,
    final=st.just(False),
)
FINALS = st.builds(
    Reply,
    id=ID,
    body=st.binary(),
    seq=COUNT,
    attempt=COUNT,
    instance=INSTANCE,
    content_type=TEXT.map(str.encode),
    final=st.just(True),
    part=st.tuples(COUNT, COUNT),
    status=st.integers(100, 599),
    outcome=st.none() | st.sampled_from(Outcome),
    code=TEXT,
    retry_after_ms=COUNT,
    attempts=COUNT,
    queue_ms=COUNT,
    upstream=TEXT.map(DeploymentName),
    upstream_headers=st.binary(),
)
