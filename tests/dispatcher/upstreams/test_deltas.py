"""How much text is seen in a stream whose upstream does not tell its tokens."""

import msgspec
import pytest

from headrace.dispatcher.costs import Text
from headrace.dispatcher.upstreams.deltas import text_of
from headrace.dispatcher.upstreams.sse import EventReader


@pytest.mark.parametrize(
    ("choices", "seen"),
    [
        (b'[{"index":0,"delta":{"role":"assistant","content":""}}]', (0, 0)),
        (b'[{"index":0,"delta":{"content":"hello"},"logprobs":{"content":[]}}]', (1, 5)),
        (b'[{"delta":{"content":"a"}},{"delta":{"content":"bc"}}]', (2, 3)),
        (b'[{"text":"four"}]', (1, 4)),
        (b'[{"delta":{"reasoning":"why","reasoning_content":"why","content":null}}]', (1, 3)),
        (b'[{"delta":{"refusal":"no"}}]', (1, 2)),
        (b'[{"delta":{"tool_calls":[{"function":{"name":"f","arguments":"{\\"a\\""}}]}}]', (1, 7)),
        (b'[{"delta":{"function_call":{"arguments":"12"}}}]', (1, 2)),
        (b'[{"delta":{},"finish_reason":"stop"}]', (0, 0)),
        (b"[]", (0, 0)),
        (b"null", (0, 0)),
        (b'{"delta":"what"}', (0, 0)),
        (b'[{"delta":"text"}]', (0, 0)),
    ],
)
def test_text_is_what_the_model_wrote(choices: bytes, seen: tuple[int, int]) -> None:
    assert text_of(msgspec.Raw(choices)) == seen


STREAM = (
    b'data: {"choices":[{"delta":{"content":"ab"}}]}\n\n'
    b'data: {"choices":[{"delta":{"content":"cde"}}]}\n\n'
    b'data: {"choices":"odd"}\n\ndata: [DONE]\n\n'
)


@pytest.mark.parametrize(("metered", "text"), [(True, Text(2, 5)), (False, Text())])
def test_a_stream_is_measured_where_it_matters_and_never_broken_for_it(
    metered: bool, text: Text
) -> None:
    reader = EventReader(metered=metered)
    assert reader.feed(STREAM) == STREAM
    assert (reader.text, reader.ended, reader.fault) == (text, True, "")
