"""Records of an inbox on their way to the lane, by a real ingress on the real Kafka."""

import json
from typing import Any

from headrace.schemas import records, replies
from headrace.schemas.errors import Code
from headrace.schemas.names import Outcome
from headrace.schemas.records import RequestRecord

BODY = b'{"model":"small","messages":[{"role":"user","content":"hi"}]}'


def decoded(record: Any) -> RequestRecord:
    return records.decode(
        record.value,
        record.headers,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
    )


async def test_a_record_is_written_on_to_its_lane_and_then_committed(start_intake: Any) -> None:
    post = await start_intake()
    partition, offset = await post.write(
        BODY, headrace_lane="interactive", headrace_tenant="default", team="search",
        headrace_reply_topic=post.answers,
    )  # fmt: skip
    (written,) = await post.read(post.topics.requests("interactive"))
    request = decoded(written)
    assert (request.tenant, request.id) == ("acme", f"{post.inbox}-{partition}-{offset}")
    assert request.body == BODY
    assert ("team", b"search") in written.headers
    assert request.reply is not None
    assert (request.reply.topic, request.reply.instance) == (post.answers, None)
    await post.committed_to(1)


async def test_a_bad_record_is_a_dead_letter_and_is_answered(start_intake: Any) -> None:
    post = await start_intake()
    await post.write(b"not json", ce_id="mine", headrace_reply_topic=post.answers)
    await post.write(BODY)
    (letter,) = await post.read(post.topics.dead_letters)
    assert (letter.key, letter.value) == (b"mine", b"not json")
    told = dict(letter.headers)
    assert told["headrace-reason"] == b"rejected_record"
    assert told["headrace-source-topic"] == post.inbox.encode()
    (answer,) = await post.read(post.answers)
    reply = replies.decode(answer.value, answer.headers)
    assert (reply.id, reply.final, reply.outcome) == ("mine", True, Outcome.DEAD_LETTERED)
    assert json.loads(reply.body)["error"]["code"] == Code.INVALID_JSON
    await post.read(post.topics.requests("standard"))
    await post.committed_to(2)


async def test_a_reply_topic_of_somebody_else_gets_nothing(start_intake: Any) -> None:
    post = await start_intake()
    await post.write(BODY, headrace_reply_topic=post.topics.requests("interactive"))
    (letter,) = await post.read(post.topics.dead_letters)
    assert dict(letter.headers)["headrace-reason"] == b"rejected_record"
    await post.committed_to(1)
    assert await post.dump(post.topics.requests("interactive")) == []


async def test_an_answer_that_cannot_be_written_holds_nobody_up(start_intake: Any) -> None:
    post = await start_intake()
    await post.write(b"not json", headrace_reply_topic="out.acme.nowhere")
    await post.write(BODY)
    await post.read(post.topics.requests("standard"))
    await post.committed_to(2)
