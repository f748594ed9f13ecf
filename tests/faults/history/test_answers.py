"""P8 and P11 on histories made by hand: what the checks pass, and what they find."""

from faults.history.checks.stream_law import whole_prefix_of_one_attempt
from faults.history.checks.tenants import no_foreign_answer
from faults.history.events import End, Seen, Way
from faults.history.made import Made
from faults.history.made_topics import answer_of
from faults.history.sse import EventDigest
from faults.history.telling import told, whole

EVENTS = [b'{"n":%d}' % number for number in range(4)]


def streamed(events: int, end: End, *marks: str, code: str = "") -> Seen:
    """What a client saw of a stream with the first `events` of EVENTS."""
    digest = EventDigest()
    for event in EVENTS[:events]:
        digest.add(event)
    return Seen(
        status=200, id="r1", code=code, end=end, sha256=digest.hexdigest(), size=events, marks=marks
    )


def frames(*numbers: int) -> bytes:
    """Some of EVENTS as they stand in a stream."""
    return b"".join(b"data: %b\n\n" % EVENTS[number] for number in numbers)


def stream() -> Made:
    """A stream of four events in two chunks and a final, all in Kafka."""
    made = Made().ask(way=Way.STREAM).called().chunk(1, frames(0, 1)).chunk(2, frames(2))
    return made.final(body=frames(3) + b"data: [DONE]\n\n", seq=3)


def test_an_answer_to_the_own_request_is_allowed() -> None:
    assert not told(no_foreign_answer(whole().evidence()))


def test_an_answer_to_another_tenants_request_is_found() -> None:
    made = Made().ask().final().told().ask("r2", tenant="bob").final("r2")
    made.told("r2", answer=answer_of("r1"))
    assert "bob got the answer to another tenant's" in told(no_foreign_answer(made.evidence()))


def test_an_answer_in_another_tenants_topic_is_found() -> None:
    made = Made().ask(way=Way.DIRECT).final(topic="t.own.bob")
    assert "an answer for ann in the topic of bob" in told(no_foreign_answer(made.evidence()))


def test_a_job_that_another_tenant_is_given_is_found() -> None:
    made = Made().ask(way=Way.JOB).final().told()
    made.ask("peek", way=Way.PEEK, tenant="bob", body=b"-", enqueued=False).told("peek")
    assert "bob was given a request of another tenant" in told(no_foreign_answer(made.evidence()))


def test_a_key_that_another_tenant_took_is_found() -> None:
    made = Made().ask(way=Way.KEYED, key="k", tenant="bob", owner="ann").final().told()
    assert "bob was given the request of ann" in told(no_foreign_answer(made.evidence()))


def test_a_refusal_for_the_body_of_another_tenant_is_found() -> None:
    made = Made().ask(way=Way.KEYED, key="k").told(code="idempotency_mismatch")
    assert "sent none under this key" in told(no_foreign_answer(made.evidence()))


def test_a_whole_stream_of_one_attempt_is_allowed() -> None:
    made = stream().told(seen=streamed(4, End.DONE, "chatcmpl-1", "fp_1"))
    assert not told(whole_prefix_of_one_attempt(made.evidence()))


def test_a_prefix_with_an_explicit_error_is_allowed() -> None:
    made = stream().told(seen=streamed(2, End.ERROR_EVENT, code="reply_lost"))
    assert not told(whole_prefix_of_one_attempt(made.evidence()))


def test_a_prefix_that_ends_as_if_it_were_whole_is_found() -> None:
    made = stream().told(seen=streamed(3, End.DONE))
    assert "the attempt has more" in told(whole_prefix_of_one_attempt(made.evidence()))


def test_a_stream_that_ends_without_a_word_is_found() -> None:
    made = stream().told(seen=streamed(2, End.SILENT))
    assert "ended without a word" in told(whole_prefix_of_one_attempt(made.evidence()))


def test_a_broken_connection_needs_a_fault() -> None:
    made = stream().told(seen=streamed(2, End.CUT), why="ClientPayloadError", at=1500)
    assert "no fault explains it" in told(whole_prefix_of_one_attempt(made.evidence()))
    made.struck("kill", "ingress", 1400, 1450)
    assert not told(whole_prefix_of_one_attempt(made.evidence()))


def test_events_of_two_attempts_are_found() -> None:
    made = stream().told(seen=streamed(4, End.DONE, "fp_1", "fp_2"))
    assert "several attempts" in told(whole_prefix_of_one_attempt(made.evidence()))


def test_events_that_are_no_attempts_beginning_are_found() -> None:
    made = Made().ask(way=Way.STREAM).called().chunk(1, frames(1, 0))
    made.final(body=b"data: [DONE]\n\n", seq=2).told(seen=streamed(2, End.DONE))
    assert "the beginning of no attempt" in told(whole_prefix_of_one_attempt(made.evidence()))


def test_a_chunk_that_stands_there_twice_is_allowed() -> None:
    made = Made().ask(way=Way.STREAM).called().chunk(1, frames(0)).chunk(2, frames(1))
    made.chunk(1, frames(0)).chunk(2, frames(1)).final(body=b"data: [DONE]\n\n", seq=3)
    made.told(seen=streamed(2, End.DONE))
    assert not told(whole_prefix_of_one_attempt(made.evidence()))


def test_a_completed_stream_with_a_gap_is_found() -> None:
    made = Made().ask(way=Way.STREAM).chunk(1, frames(0)).final(body=frames(3), seq=3)
    assert "chunks [1] before a final" in told(whole_prefix_of_one_attempt(made.evidence()))
