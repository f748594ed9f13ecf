"""Records that any Kafka client writes straight to a lane."""

import json
import uuid

import pytest
from confluent_kafka import Producer

from support.eventually import eventually
from support.installation import Installation, header

pytestmark = pytest.mark.asyncio(loop_scope="session")


def body(text: str, model: str = "small", **more: object) -> bytes:
    message = {"role": "user", "content": text}
    return json.dumps({"model": model, "messages": [message], **more}).encode()


async def out(running: Installation) -> str:
    return await running.topic(f"out.{uuid.uuid4().hex}")


async def test_a_body_and_a_reply_topic_are_enough(running: Installation) -> None:
    answers = await out(running)
    lane = running.topics.requests("standard")
    where = await running.produce(lane, body("bare"), headers={"reply-topic": answers.encode()})
    (answer,) = await running.read(answers)
    assert header(answer, "ce_id") == f"{lane}-{where[0]}-{where[1]}".encode()
    assert header(answer, "headrace-status") == b"200"
    assert json.loads(answer.value or b"")["object"] == "chat.completion"


async def test_a_stream_comes_in_order_and_ends_with_done(running: Installation) -> None:
    answers = await out(running)
    headers = {"reply-topic": answers.encode(), "ce_id": b"streamed"}
    await running.produce(
        running.topics.requests("standard"), body("stream", stream=True), headers=headers
    )
    records = await running.read(answers)
    while header(records[-1], "headrace-final") is None:
        records = await running.read(answers, len(records) + 1)
    assert [int(header(r, "headrace-seq") or 0) for r in records] == list(
        range(1, len(records) + 1)
    )
    assert b"".join(r.value or b"" for r in records).endswith(b"data: [DONE]\n\n")


async def test_what_cannot_be_decoded_is_dead_lettered_and_the_partition_goes_on(
    running: Installation,
) -> None:
    answers = await out(running)
    lane = running.topics.requests("standard")
    headers = {"reply-topic": answers.encode()}
    await running.produce(lane, b"\xff\xfe not json", headers=headers, partition=2, key=b"k")
    await running.produce(lane, body("after"), headers=headers, partition=2)
    refused, answered = await running.read(answers, 2)
    assert header(refused, "headrace-outcome") == b"dead_lettered"
    assert header(answered, "headrace-outcome") == b"completed"
    letters = await running.dump(running.topics.dead_letters)
    (letter,) = [one for one in letters if header(one, "headrace-source-partition") == b"2"]
    assert (letter.value, header(letter, "headrace-source-key")) == (b"\xff\xfe not json", b"k")
    assert header(letter, "headrace-reason") == b"rejected_record"


async def test_a_passed_deadline_is_answered_as_expired(running: Installation) -> None:
    answers = await out(running)
    headers = {"reply-topic": answers.encode(), "headrace-deadline-ms": b"1000"}
    lane = running.topics.requests("standard")
    await running.produce(lane, body("too late"), headers=headers)
    (answer,) = await running.read(answers)
    assert header(answer, "headrace-outcome") == b"expired"
    assert header(answer, "headrace-code") == b"deadline_exceeded"


async def test_an_unknown_model_is_an_answer_not_a_dead_letter(running: Installation) -> None:
    answers = await out(running)
    headers = {"reply-topic": answers.encode()}
    lane = running.topics.requests("standard")
    await running.produce(lane, body("x", model="nobody-has-it"), headers=headers)
    (answer,) = await running.read(answers)
    assert header(answer, "headrace-code") == b"model_not_found"
    assert header(answer, "headrace-outcome") == b"failed"


async def test_a_missing_reply_topic_costs_no_call_and_blocks_nothing(
    running: Installation,
) -> None:
    answers = await out(running)
    lane = running.topics.requests("standard")
    nowhere = {"reply-topic": b"out.nobody-made-it", "ce_id": b"undeliverable"}
    await running.produce(lane, body("lost"), headers=nowhere, partition=1)
    headers = {"reply-topic": answers.encode()}
    await running.produce(lane, body("next"), headers=headers, partition=1)
    await running.read(answers)
    letters = await eventually(lambda: _letters(running, b"undeliverable"))
    assert header(letters[0], "headrace-reason") == b"reply_undeliverable"
    assert running.calls("undeliverable") == []


async def _letters(running: Installation, request_id: bytes) -> list[object]:
    records = await running.dump(running.topics.dead_letters)
    return [record for record in records if record.key == request_id]


async def test_an_internal_topic_is_no_reply_topic(running: Installation) -> None:
    inside = running.topics.requests("interactive").encode()
    headers = {"reply-topic": inside, "ce_id": b"inside"}
    await running.produce(running.topics.requests("standard"), body("x"), headers=headers)
    letters = await eventually(lambda: _letters(running, b"inside"))
    assert header(letters[0], "headrace-reason") == b"reply_undeliverable"
    assert running.calls("inside") == []


async def test_an_aborted_transaction_is_never_run(running: Installation) -> None:
    answers = await out(running)
    lane = running.topics.requests("standard")
    producer = Producer(
        {
            "bootstrap.servers": running.bootstrap,
            "transactional.id": uuid.uuid4().hex,
            "transaction.timeout.ms": 8_000,
        }
    )
    producer.init_transactions(20)
    for name, commit in (("aborted", False), ("committed", True)):
        producer.begin_transaction()
        headers = [("reply-topic", answers), ("ce_id", name)]
        producer.produce(lane, body(name), partition=3, headers=headers)
        producer.flush(20)
        if commit:
            producer.commit_transaction(20)
        else:
            producer.abort_transaction(20)
    (answer,) = await running.read(answers)
    assert header(answer, "ce_id") == b"committed"
    assert running.calls("aborted") == []
