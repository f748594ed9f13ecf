"""Hypothesis strategies for the records of the contract."""

from hypothesis import strategies as st

from headrace.schemas.claims import Attach, Claim, Orphan
from headrace.schemas.names import (
    Ambiguous,
    DeploymentName,
    Endpoint,
    InstanceId,
    KeyName,
    Kind,
    LaneName,
    ModelName,
    Outcome,
    RequestId,
    Tenant,
)
from headrace.schemas.records import Attempt, ReplyTo, RequestRecord
from headrace.schemas.replies import Reply
from headrace.schemas.status import Queued, Running, Terminal

TEXT = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), max_size=100)
NAME = TEXT.filter(bool)
NUMBER = st.integers(0, 10**15 - 1)
REQUESTS = st.builds(
    RequestRecord,
    id=NAME.map(RequestId),
    body=st.binary(),
    tenant=NAME.map(Tenant),
    key_name=TEXT.map(KeyName),
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
    kind=st.none() | st.sampled_from(Kind),
    not_before_ms=NUMBER,
    ambiguous=st.none() | st.sampled_from(Ambiguous),
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
PLACE = st.tuples(st.integers(0, 1023), NUMBER)
_OWNER = {"tenant": NAME.map(Tenant), "id": ID}
QUEUED = st.builds(
    Queued,
    **_OWNER,
    kind=st.sampled_from(Kind),
    model=NAME.map(ModelName),
    lane=NAME.map(LaneName),
    endpoint=st.sampled_from(Endpoint),
    stream=st.booleans(),
    accepted_ms=NUMBER,
    deadline_ms=NUMBER,
    reply_partition=st.integers(0, 1023),
    not_before_ms=NUMBER,
    instance=TEXT.map(InstanceId),
)
RUNNING = st.builds(
    Running,
    **_OWNER,
    attempt=COUNT,
    deployment=NAME.map(DeploymentName),
    source=TEXT,
    chunks=st.none() | PLACE,
)
TERMINAL = st.builds(
    Terminal,
    **_OWNER,
    outcome=st.sampled_from(Outcome),
    status=st.integers(100, 599),
    code=TEXT,
    attempt=st.integers(0, 99),
    attempts=st.integers(0, 99),
    queue_ms=NUMBER,
    upstream=TEXT,
    result=st.none() | st.tuples(st.integers(0, 1023), NUMBER, st.integers(1, 128)),
    by=st.sampled_from(("dispatcher", "sweeper", "api")),
)
STATUSES = QUEUED | RUNNING | TERMINAL
_DIGEST = st.text("0123456789abcdef", min_size=64, max_size=64)
_CLAIMANT = {"tenant": NAME.map(Tenant), "digest": _DIGEST, "instance": NAME.map(InstanceId)}
CLAIM_ENTRIES = st.one_of(
    st.builds(
        Claim,
        **_CLAIMANT,
        key=NAME,
        lane=NAME.map(LaneName),
        model=NAME.map(ModelName),
        deadline_ms=NUMBER,
    ),
    st.builds(Orphan, **_CLAIMANT, endpoint=st.sampled_from(Endpoint), id=ID, deadline_ms=NUMBER),
    st.builds(Attach, **_CLAIMANT, endpoint=st.sampled_from(Endpoint), id=ID),
)
