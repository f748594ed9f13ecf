"""The evidence of a small run that holds: the tests of the demo's checker break one thing of it.

Three requests: `plain` is answered at once; `cut` is a stream whose first call the kill cut and
whose second came from another dispatcher; `dead` can never succeed. The kill is at 10,000 ms.
"""

import hashlib
from collections.abc import Callable

import msgspec

from headrace.cli.demo.answers import plain_digest, stream_digest, upstream_answer
from headrace.cli.demo.evidence import Asked, Dump, Evidence, Kill, Record
from headrace.cli.demo.findings import Rules
from headrace.cli.mock.log import Finished, LoggedCall, Received
from headrace.cli.mock.log import Outcome as CallOutcome
from headrace.cli.mock.script import Script
from headrace.schemas import records, replies
from headrace.schemas.names import DeploymentName, Endpoint, LaneName, ModelName, Outcome, RequestId
from headrace.schemas.records import Attempt, RequestRecord
from headrace.schemas.replies import Reply
from headrace.schemas.retries import Source, dead_letter_headers

RULES = Rules(
    prefix="headrace.",
    impossible=frozenset({"never"}),
    retry_after_ms=1_000,
    error_after_ms=0,
    least_held=1,
)
KILL = Kill(before=10_000, after=10_010)
SCRIPT = Script()
LANE = LaneName("batch")


def answer_of(record: Record) -> bytes:
    """The upstream's answer to a request record."""
    return upstream_answer(record.header("headrace-endpoint"), record.value or b"", SCRIPT)


def body(model: str, said: str, *, stream: bool = False) -> bytes:
    """A chat body."""
    messages = [{"role": "user", "content": said}]
    return msgspec.json.encode({"model": model, "messages": messages, "stream": stream})


PLAIN = body("m", "hello")
CUT = body("m", "tell me more", stream=True)
DEAD = body("never", "try this")
ERROR = b'{"error": {"message": "no"}}'


def request(name: str, value: bytes, offset: int, model: str, *, stream: bool = False) -> Record:
    """The lane record of `name`."""
    made = RequestRecord(
        id=RequestId(name),
        body=value,
        lane=LANE,
        endpoint=Endpoint.CHAT,
        model=ModelName(model),
        stream=stream,
    )
    headers = tuple(records.encode(made, b"ingress"))
    return kafka("requests.batch", value, headers, offset, key=b"default#1")


def kafka(
    topic: str,
    value: bytes,
    headers: tuple[tuple[str, bytes], ...],
    offset: int,
    *,
    key: bytes,
    at: int = 0,
) -> Record:
    """A record as a dump holds it; appended at `at`, else in the order of offsets."""
    return Record(
        topic=f"headrace.{topic}",
        partition=0,
        offset=offset,
        timestamp=at or offset,
        key=key,
        value=value,
        headers=headers,
    )


def reply(made: Reply, offset: int, at: int, process: bytes = b"dispatcher") -> Record:
    """A record of `replies`, written by `process`."""
    headers = tuple(replies.encode(made, process))
    return kafka("replies", made.body, headers, offset, key=made.id.encode(), at=at)


def final(
    name: str, answer: bytes, at: int, process: bytes = b"dispatcher", **fields: object
) -> Record:
    """A final answer, of attempt 1 with one call if `fields` do not say otherwise."""
    made = Reply(id=RequestId(name), body=answer, final=True, outcome=Outcome.COMPLETED, attempts=1)
    for field, value in fields.items():
        setattr(made, field, value)
    return reply(made, at, at, process)


def call(seq: int, name: str, value: bytes, at: int, end: Finished | None) -> LoggedCall:
    """A call that was received at `at`."""
    digest = hashlib.sha256(value).hexdigest()
    received = Received(
        seq=seq,
        received_at=at,
        path="/v1/chat/completions",
        body_sha256=digest,
        attempt=1,
        request_id=name,
    )
    return LoggedCall(received, end)


def ended(
    seq: int, at: int, status: int = 200, outcome: CallOutcome = CallOutcome.ANSWERED
) -> Finished:
    """The end of a call."""
    return Finished(seq=seq, finished_at=at, outcome=outcome, status=status)


def asked(number: int, name: str, value: bytes, answer_sha256: str, status: int = 200) -> Asked:
    """A client's line."""
    seen = msgspec.json.decode(value)
    return Asked(
        number=number,
        lane=LANE,
        model=seen["model"],
        stream=seen["stream"],
        client="sync",
        sent_at=number,
        ended_at=20_000 + number,
        body_sha256=hashlib.sha256(value).hexdigest(),
        status=status,
        request_id=name,
        answer_sha256=answer_sha256,
        error="" if status == 200 else "InternalServerError",
    )


def _history() -> tuple[Asked, ...]:
    plain = upstream_answer("chat/completions", PLAIN, SCRIPT)
    stream = upstream_answer("chat/completions", CUT, SCRIPT)
    return (
        asked(1, "plain", PLAIN, plain_digest(plain)),
        asked(2, "cut", CUT, stream_digest(stream)),
        asked(3, "dead", DEAD, plain_digest(ERROR), status=500),
    )


def _calls() -> tuple[LoggedCall, ...]:
    gone = CallOutcome.CLIENT_DISCONNECTED
    return (
        call(1, "plain", PLAIN, 1_000, ended(1, 1_400)),
        call(2, "dead", DEAD, 2_000, ended(2, 2_100, 500)),
        call(3, "dead", DEAD, 3_000, ended(3, 3_100, 503)),
        call(4, "dead", DEAD, 4_100, ended(4, 4_200, 500)),
        call(5, "cut", CUT, 9_900, ended(5, 10_020, 0, gone)),
        call(6, "cut", CUT, 18_000, ended(6, 18_400)),
    )


HISTORY = [
    Attempt(number, number, DeploymentName("east"), status, "")
    for number, status in enumerate((500, 503, 500), 1)
]


def _dead_letter(of: Record) -> Record:
    source = Source(of.topic, of.partition, of.offset, of.key, of.timestamp)
    headers = dead_letter_headers(
        of.headers, source, reason="attempts_exhausted", history=tuple(HISTORY)
    )
    return kafka("dead-letters", of.value or b"", tuple(headers), 0, key=b"dead", at=4_300)


def _dump() -> Dump:
    plain = upstream_answer("chat/completions", PLAIN, SCRIPT)
    stream = upstream_answer("chat/completions", CUT, SCRIPT)
    half = len(stream) // 2
    dead = request("dead", DEAD, 2, "never")
    chunk = Reply(id=RequestId("cut"), body=stream[:half], attempt=2)
    return Dump(
        requests=(request("plain", PLAIN, 0, "m"), request("cut", CUT, 1, "m", stream=True), dead),
        replies=(
            final("plain", plain, 1_410),
            final("dead", ERROR, 4_310, status=500, attempt=3, attempts=3,
                  outcome=Outcome.DEAD_LETTERED),
            reply(chunk, 18_100, 18_100),
            final("cut", stream[half:], 18_410, seq=2, attempt=2, attempts=2),
        ),
        dead_letters=(_dead_letter(dead),),
    )  # fmt: skip


def good_run() -> Evidence:
    """A run of which everything holds."""
    return Evidence(history=_history(), calls=_calls(), dump=_dump(), kill=KILL)


def with_history(run: Evidence, number: int, **changes: object) -> Evidence:
    """The run, one client's line changed."""
    lines = tuple(
        msgspec.structs.replace(line, **changes) if line.number == number else line
        for line in run.history
    )
    return msgspec.structs.replace(run, history=lines)


def with_calls(run: Evidence, *more: LoggedCall) -> Evidence:
    """The run with more upstream calls."""
    return msgspec.structs.replace(run, calls=(*run.calls, *more))


def with_dump(run: Evidence, change: Callable[[Dump], dict[str, tuple[Record, ...]]]) -> Evidence:
    """The run with topics changed by what `change` returns."""
    dump = msgspec.structs.replace(run.dump, **change(run.dump))
    return msgspec.structs.replace(run, dump=dump)
