"""The checker finds what it is there to find: each test breaks one thing of a run that held."""

from dataclasses import dataclass

import msgspec

from headrace.cli.demo.check import Findings, check
from headrace.cli.demo.evidence import Dump, Evidence, Record
from headrace.cli.demo.findings import Kind
from headrace.cli.mock.log import Outcome as CallOutcome
from headrace.schemas.names import RequestId
from headrace.schemas.replies import Reply
from support.evidence import (
    CUT,
    HISTORY,
    PLAIN,
    RULES,
    answer_of,
    call,
    ended,
    final,
    good_run,
    reply,
    request,
    with_calls,
    with_dump,
    with_history,
)


def judged(run: Evidence) -> Findings:
    return check(run, RULES, answer_of)


@dataclass(frozen=True)
class Told:
    """What was found, as (kind, request)."""

    findings: Findings

    def __contains__(self, wanted: tuple[Kind, str]) -> bool:
        return wanted in {(finding.kind, finding.name) for finding in self.findings.found}


def changed(letter: Record, **changes: object) -> Record:
    return msgspec.structs.replace(letter, **changes)


def letter_with(**changes: object) -> Evidence:
    return with_dump(
        good_run(),
        lambda dump: {"dead_letters": (changed(dump.dead_letters[0], **changes),)},
    )


def test_a_run_that_held_has_no_findings() -> None:
    findings = judged(good_run())
    assert findings.found == ()
    assert (findings.sent, findings.answered, findings.dead_lettered) == (3, 2, 1)
    assert (findings.lost, findings.doubled) == (0, 0)


def test_the_figures_count_retries_recoveries_and_calls() -> None:
    findings = judged(good_run())
    assert (findings.retried, findings.recovered, findings.cut) == (1, 1, 1)
    assert findings.upstream_calls == 6


def test_a_request_without_an_answer_is_lost() -> None:
    findings = judged(with_history(good_run(), 1, status=0, error="APITimeoutError"))
    assert (Kind.LOST, "plain") in Told(findings)
    assert findings.lost == 1


def test_a_request_that_still_waits_is_lost() -> None:
    findings = judged(with_history(good_run(), 1, status=0, ended_at=0, request_id=""))
    assert (Kind.LOST, "#1") in Told(findings)


def test_an_answer_with_an_error_status_is_lost() -> None:
    findings = judged(with_history(good_run(), 1, status=504, error="APIStatusError"))
    assert (Kind.LOST, "plain") in Told(findings)


def test_a_stream_that_ended_with_an_error_is_lost() -> None:
    findings = judged(with_history(good_run(), 2, error="APIError: the stream broke"))
    assert (Kind.LOST, "cut") in Told(findings)
    assert findings.answered == 1


def test_an_accepted_record_without_a_final_is_lost() -> None:
    run = with_dump(good_run(), lambda dump: {"replies": dump.replies[1:]})
    assert (Kind.LOST, "plain") in Told(judged(run))


def test_a_second_final_is_a_double() -> None:
    def doubled(dump: Dump) -> dict[str, tuple[Record, ...]]:
        again = final("plain", dump.replies[0].value or b"", 5_000, attempt=2, attempts=2)
        return {"replies": (*dump.replies, again)}

    findings = judged(with_dump(good_run(), doubled))
    assert (Kind.DOUBLED, "plain") in Told(findings)
    assert findings.doubled == 1


def test_a_second_final_of_a_call_held_at_the_kill_is_no_double() -> None:
    def repeated(dump: Dump) -> dict[str, tuple[Record, ...]]:
        again = final("plain", dump.replies[0].value or b"", 19_000, attempt=2, attempts=2)
        return {"replies": (*dump.replies, again)}

    run = good_run()
    held = call(1, "plain", PLAIN, 9_500, ended(1, 9_900))
    run = msgspec.structs.replace(run, calls=(held, *run.calls[1:]))
    run = with_calls(with_dump(run, repeated), call(7, "plain", PLAIN, 18_500, ended(7, 18_900)))
    assert judged(run).found == ()


def test_two_finals_of_one_attempt_are_a_double_even_at_the_kill() -> None:
    def twice(dump: Dump) -> dict[str, tuple[Record, ...]]:
        last = dump.replies[-1]
        return {"replies": (*dump.replies, changed(last, offset=99_000, timestamp=99_000))}

    assert (Kind.DOUBLED, "cut") in Told(judged(with_dump(good_run(), twice)))


def test_a_crash_may_use_the_number_of_an_attempt_twice() -> None:
    def cut_short(dump: Dump) -> dict[str, tuple[Record, ...]]:
        first = Reply(id=RequestId("cut"), body=b"data: {}\n\n", attempt=2)
        return {"replies": (reply(first, 9_950, 9_950, b"the dead"), *dump.replies)}

    assert judged(with_dump(good_run(), cut_short)).found == ()


def test_one_id_at_two_clients_is_a_double() -> None:
    run = with_history(good_run(), 2, request_id="plain")
    assert (Kind.DOUBLED, "plain") in Told(judged(run))


def test_a_repeated_chunk_is_a_double() -> None:
    def twice(dump: Dump) -> dict[str, tuple[Record, ...]]:
        chunk = dump.replies[2]
        return {"replies": (*dump.replies, changed(chunk, offset=chunk.offset + 1))}

    assert (Kind.DOUBLED, "cut") in Told(judged(with_dump(good_run(), twice)))


def test_a_missing_chunk_is_a_wrong_answer() -> None:
    run = with_dump(good_run(), lambda dump: {"replies": (*dump.replies[:2], dump.replies[3])})
    assert (Kind.WRONG, "cut") in Told(judged(run))


def test_another_body_at_the_client_is_a_wrong_answer() -> None:
    run = with_history(good_run(), 1, answer_sha256="0" * 64)
    assert (Kind.WRONG, "plain") in Told(judged(run))


def test_an_answer_that_the_upstream_never_gave_is_wrong_though_the_client_saw_it() -> None:
    def forged(dump: Dump) -> dict[str, tuple[Record, ...]]:
        value = (dump.replies[0].value or b"").replace(b"stop", b"halt")
        return {"replies": (changed(dump.replies[0], value=value), *dump.replies[1:])}

    assert (Kind.WRONG, "plain") in Told(judged(with_dump(good_run(), forged)))


def test_a_body_changed_on_its_way_into_the_lane_is_found() -> None:
    run = with_history(good_run(), 1, body_sha256="0" * 64)
    assert (Kind.WRONG, "plain") in Told(judged(run))


def test_a_record_that_no_client_sent_is_found() -> None:
    def more(dump: Dump) -> dict[str, tuple[Record, ...]]:
        return {"requests": (*dump.requests, request("ghost", PLAIN, 9, "m"))}

    assert (Kind.UNKNOWN, "ghost") in Told(judged(with_dump(good_run(), more)))


def test_a_record_in_another_lane_is_found() -> None:
    run = with_history(good_run(), 1, lane="interactive")
    assert (Kind.UNKNOWN, "plain") in Told(judged(run))


def test_a_missing_dead_letter_is_found() -> None:
    run = with_dump(good_run(), lambda dump: {"dead_letters": ()})
    assert (Kind.DEAD_LETTER, "dead") in Told(judged(run))


def test_a_dead_letter_of_a_request_that_could_succeed_is_found() -> None:
    def more(dump: Dump) -> dict[str, tuple[Record, ...]]:
        stranger = changed(dump.dead_letters[0], headers=dump.requests[0].headers)
        return {"dead_letters": (*dump.dead_letters, stranger)}

    assert (Kind.DEAD_LETTER, "plain") in Told(judged(with_dump(good_run(), more)))


def test_a_dead_letter_with_another_value_is_incomplete() -> None:
    assert (Kind.DEAD_LETTER, "dead") in Told(judged(letter_with(value=b"{}")))


def test_a_dead_letter_without_one_of_the_headers_is_incomplete() -> None:
    letter = good_run().dump.dead_letters[0]
    for name, _ in letter.headers:
        if name == "ce_id":
            continue
        kept = tuple(header for header in letter.headers if header[0] != name)
        assert (Kind.DEAD_LETTER, "dead") in Told(judged(letter_with(headers=kept))), name


def test_a_dead_letter_whose_history_is_not_the_upstreams_is_incomplete() -> None:
    run = good_run()
    calls = tuple(c for c in run.calls if c.received.seq != 3)
    run = msgspec.structs.replace(run, calls=calls)
    assert (Kind.DEAD_LETTER, "dead") in Told(judged(run))


def test_a_dead_letter_may_not_know_how_a_call_ended_that_a_crash_cut() -> None:
    run = good_run()
    letter = run.dump.dead_letters[0]
    lost = msgspec.json.encode([[1, 1, "", 0, "lost_in_crash", False], *HISTORY[1:]])
    headers = tuple(
        (name, lost if name == "headrace-attempts" else value) for name, value in letter.headers
    )
    assert judged(letter_with(headers=headers)).found == ()


def test_a_dead_letter_that_leaves_a_call_out_without_a_crash_is_incomplete() -> None:
    letter = good_run().dump.dead_letters[0]
    short = msgspec.json.encode(HISTORY[1:])
    headers = tuple(
        (name, short if name == "headrace-attempts" else value) for name, value in letter.headers
    )
    assert (Kind.DEAD_LETTER, "dead") in Told(judged(letter_with(headers=headers)))


def test_one_call_more_than_was_recorded_is_found() -> None:
    run = with_calls(good_run(), call(7, "plain", PLAIN, 1_500, ended(7, 1_900, 500)))
    assert (Kind.CALLS, "plain") in Told(judged(run))


def test_a_call_after_a_whole_answer_is_found_though_it_was_recorded() -> None:
    def recorded(dump: Dump) -> dict[str, tuple[Record, ...]]:
        value = dump.replies[0].value or b""
        return {"replies": (final("plain", value, 1_410, attempts=2), *dump.replies[1:])}

    more = call(7, "plain", PLAIN, 1_500, ended(7, 1_900))
    run = with_calls(with_dump(good_run(), recorded), more)
    assert (Kind.CALLS, "plain") in Told(judged(run))


def test_two_calls_of_one_request_at_a_time_are_found() -> None:
    run = with_calls(good_run(), call(7, "cut", CUT, 18_100, ended(7, 18_500)))
    assert (Kind.CALLS, "cut") in Told(judged(run))


def test_a_call_dropped_without_a_kill_is_found() -> None:
    run = good_run()
    gone = ended(1, 1_400, 0, CallOutcome.CLIENT_DISCONNECTED)
    run = msgspec.structs.replace(run, calls=(call(1, "plain", PLAIN, 1_000, gone), *run.calls[1:]))
    assert (Kind.CALLS, "plain") in Told(judged(run))


def test_a_call_that_never_ended_is_found() -> None:
    run = good_run()
    run = msgspec.structs.replace(run, calls=(call(1, "plain", PLAIN, 1_000, None), *run.calls[1:]))
    assert (Kind.CALLS, "plain") in Told(judged(run))


def test_a_call_for_no_known_request_is_found() -> None:
    run = with_calls(good_run(), call(7, "ghost", PLAIN, 1_500, ended(7, 1_900)))
    assert (Kind.CALLS, "ghost") in Told(judged(run))


def test_a_retry_before_its_time_is_found() -> None:
    run = good_run()
    received = msgspec.structs.replace(run.calls[3].received, received_at=3_900)
    hasty = msgspec.structs.replace(run.calls[3], received=received)
    run = msgspec.structs.replace(run, calls=(*run.calls[:3], hasty, *run.calls[4:]))
    assert (Kind.EARLY, "dead") in Told(judged(run))


def test_a_kill_that_cut_too_few_calls_is_found() -> None:
    rules = msgspec.structs.replace(RULES, least_held=2)
    findings = check(good_run(), rules, answer_of)
    assert (Kind.KILL, "dispatcher") in Told(findings)


def test_a_cut_call_answered_before_the_kill_is_no_recovery() -> None:
    def sooner(dump: Dump) -> dict[str, tuple[Record, ...]]:
        *others, last = dump.replies
        return {"replies": (*others, changed(last, timestamp=9_999))}

    findings = judged(with_dump(good_run(), sooner))
    assert findings.recovered == 0
    assert (Kind.KILL, "cut") in Told(findings)
