"""Following survives broken connections, and gives up at last."""

from collections.abc import Iterator
from typing import cast

import pytest

from headrace.cli.jobs.api import Event, JobsApi, lines_of, parsed
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


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ('{"error":{"message":"no","code":400}}', "400: no"),
        ('{"error":"text"}', "error: text"),
        ('{"error":{"detail":["a"]}}', 'error: {"detail":["a"]}'),
        ('{"error":{"message":{"a":1},"code":null}}', 'error: {"a":1}'),
        ('{"error":true,"choices":7}', "error: true"),
        ('{"error":null}', ""),
        ("[1]", ""),
        ("[DONE]", ""),
    ],
)
def test_an_error_of_any_shape_is_a_problem(data: str, told: str) -> None:
    """A failed job was told as a completed one where its upstream has numbers as codes."""
    assert problem_of(Event("", "message", data)) == told


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_lines_of_a_stream_end_where_its_standard_says(end: str, size: int) -> None:
    """A token with U+2028 in it was cut."""
    data = "data: a\u2028b\u2029c\u0085d\x0b\u00e9"
    stream = end.join((data, "id: 1.1", "", "data: x", "", "cut")).encode()
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert list(lines_of(pieces)) == [data, "id: 1.1", "", "data: x", ""]


@pytest.mark.parametrize(
    ("url", "trusts"),
    [
        ("http://127.0.0.1:8080", False),
        ("http://[::1]:8080", False),
        ("http://localhost", False),
        ("https://headrace.example", True),
        ("no url at all", True),
    ],
)
def test_what_stays_on_this_machine_goes_through_no_proxy(url: str, trusts: bool) -> None:
    """The key of the tenant went to the proxy of the environment."""
    with JobsApi(url, "key") as api:
        assert api._http.trust_env is trusts
