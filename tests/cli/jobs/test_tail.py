"""Following survives broken connections, and gives up at last."""

from collections.abc import Iterator
from typing import cast

import pytest

from headrace.cli.jobs.api import Event, JobsApi, parsed
from headrace.cli.jobs.errors import Unreachable
from headrace.cli.jobs.tail import PAUSE_S, TRIES, follow, problem_of, text_of


class BreakingApi:
    """Gives `each` events a connection, then breaks; ends after `whole` of them."""

    def __init__(self, each: int, whole: int) -> None:
        self._each, self._whole = each, whole
        self.asked: list[str] = []

    def events(self, _: str, after: str) -> Iterator[Event]:
        """Of `JobsApi`."""
        self.asked.append(after)
        first = int(after.partition(".")[2] or 0) + 1
        for number in range(first, min(first + self._each, self._whole + 1)):
            yield Event(f"1.{number}", "message", str(number))
        if first + self._each <= self._whole:
            raise Unreachable("cut")


def test_a_broken_connection_is_taken_up_where_it_was() -> None:
    api, pauses = BreakingApi(each=2, whole=5), list[float]()
    events = [event.data for event in follow(cast("JobsApi", api), "j", "", pauses.append)]
    assert events == ["1", "2", "3", "4", "5"]
    assert api.asked == ["", "1.2", "1.4"]
    assert pauses == [PAUSE_S] * 2


def test_what_never_answers_is_given_up() -> None:
    api = BreakingApi(each=0, whole=1)
    with pytest.raises(Unreachable):
        list(follow(cast("JobsApi", api), "j", "", lambda _: None))
    assert len(api.asked) == TRIES


def test_events_are_read_with_comments_and_several_lines_of_data() -> None:
    lines = [
        ": queued",
        "",
        "event: state",
        "data: {}",
        "",
        "data: a",
        "data:b",
        "id: 1.1",
        "",
        "data: cut",
    ]
    assert list(parsed(iter(lines))) == [Event("", "state", "{}"), Event("1.1", "message", "a\nb")]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ('{"choices":[{"delta":{"content":"word "}}]}', "word "),
        ('{"choices":[{"delta":{}}]}', ""),
        ('{"choices":[{"message":{"content":"all"}}]}', "all"),
        ('{"choices":[{"text":"old"}]}', "old"),
        ('{"data":[]}', '{"data":[]}\n'),
        ("no json", "no json\n"),
        ("[DONE]", "\n"),
    ],
)
def test_a_reader_sees_the_tokens(data: str, text: str) -> None:
    assert text_of(Event("", "message", data)) == text


def test_an_error_event_is_told_as_a_problem() -> None:
    data = '{"error":{"message":"cut","type":"x","param":null,"code":"cancelled"}}'
    assert problem_of(Event("", "message", data)) == "cancelled: cut"
    assert not problem_of(Event("", "message", '{"choices":[]}'))
