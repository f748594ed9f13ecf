"""Broken answers, as pure changes of good ones."""

import json
from collections.abc import Iterator

import pytest

from headrace.cli.mock.faults import (
    Ending,
    break_body,
    break_stream,
    declared_length,
    ending_of,
)
from headrace.cli.mock.script import Fault, Script
from headrace.cli.mock.streams import DONE, Frame

EVENTS = [b'data: {"n":%d}\n\n' % number for number in range(5)]
BODY = b'{"id":"x","choices":[{"text":"some words"}]}'


def good() -> Iterator[Frame]:
    """A whole stream."""
    return iter([*(Frame(number, event) for number, event in enumerate(EVENTS)), Frame(5, DONE)])


def broken(fault: Fault, after: int, huge_bytes: int = 1) -> list[bytes]:
    """What goes out of the whole stream under `fault`."""
    script = Script(after=after, huge_bytes=huge_bytes)
    return [frame.payload for frame in break_stream(good(), fault, script, 200)]


@pytest.mark.parametrize(
    ("fault", "ending"),
    [
        (Fault.CUT, Ending.RESET),
        (Fault.FIN, Ending.FIN),
        (Fault.STALL_AFTER, Ending.HANG),
        (Fault.NO_DONE, Ending.COMPLETE),
    ],
)
def test_the_stream_stops_after_k_events(fault: Fault, ending: Ending) -> None:
    assert broken(fault, after=2) == EVENTS[:2]
    assert ending_of(fault) is ending


def test_a_truncated_stream_ends_in_the_middle_of_an_event() -> None:
    *whole, last = broken(Fault.TRUNCATE, after=2)
    assert whole == EVENTS[:2]
    assert EVENTS[2].startswith(last)
    assert not last.endswith(b"\n")


@pytest.mark.parametrize("fault", [Fault.MALFORMED, Fault.BAD_UTF8])
def test_a_bad_event_stands_between_good_ones(fault: Fault) -> None:
    sent = broken(fault, after=2)
    assert sent[:2] + sent[3:] == [*EVENTS, DONE]
    with pytest.raises(ValueError, match=r"utf|Expecting"):
        json.loads(sent[2].removeprefix(b"data: "))


def test_a_huge_line_has_the_size_asked_for() -> None:
    sent = broken(Fault.HUGE_LINE, after=0, huge_bytes=100_000)
    assert 100_000 < len(sent[0]) < 100_200
    assert sent[1:] == [*EVENTS, DONE]


def test_an_error_event_is_followed_by_done() -> None:
    script = Script(after=1)
    sent = [frame.payload for frame in break_stream(good(), Fault.ERROR_EVENT, script, 503)]
    error = json.loads(sent[1].removeprefix(b"data: "))
    assert error["error"]["code"] == "service_unavailable"
    assert sent == [EVENTS[0], sent[1], DONE]


@pytest.mark.parametrize("fault", [Fault.MALFORMED, Fault.BAD_UTF8, Fault.TRUNCATE])
def test_a_broken_plain_body_is_no_json(fault: Fault) -> None:
    sent = break_body(BODY, fault, Script(), 200)
    assert declared_length(BODY, sent, fault) == len(sent)
    with pytest.raises(ValueError, match=r"utf|Expecting|Unterminated|delimiter"):
        json.loads(sent)


def test_a_cut_plain_body_declares_more_than_it_sends() -> None:
    sent = break_body(BODY, Fault.CUT, Script(), 200)
    assert len(sent) < declared_length(BODY, sent, Fault.CUT) == len(BODY)


def test_a_plain_huge_line_is_still_json() -> None:
    sent = break_body(BODY, Fault.HUGE_LINE, Script(huge_bytes=5000), 200)
    assert len(json.loads(sent)["note"]) == 5000
