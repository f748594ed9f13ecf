import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.ingress.body import MAX_BRACKETS, MAX_DEPTH, Unreadable, deeper_than, read


def test_only_what_routing_needs_is_read() -> None:
    routing = read(b'{"messages": [{"role": "user"}], "model": "m", "stream": true, "n": 3}')
    assert (routing.model, routing.stream) == ("m", True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nul",
        b"[]",
        b"3",
        b'{"model": "m"',
        b'{"model": "m"} x',
        b'{"model": "\xff"}',
        b'{"a": "\xff"}',
    ],
)
def test_what_is_no_json_object_in_utf_8_is_malformed(body: bytes) -> None:
    with pytest.raises(Unreadable) as raised:
        read(body)
    assert raised.value.malformed


@pytest.mark.parametrize("field", ["model", "stream"])
def test_a_field_of_the_wrong_type_is_named(field: str) -> None:
    with pytest.raises(Unreadable) as raised:
        read(json.dumps({"model": "m", field: 3}).encode())
    assert not raised.value.malformed
    assert raised.value.param == field


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"model":"m","a":' + b"[" * 3])
def test_a_bomb_of_nesting_is_malformed(opening: bytes) -> None:
    with pytest.raises(Unreadable) as raised:
        read(opening * (4_000_000 // len(opening)))
    assert raised.value.malformed


def test_nesting_is_counted_to_the_level() -> None:
    def nested(levels: int) -> bytes:
        return b'{"model":"m","a":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"

    assert read(nested(MAX_DEPTH)).model == "m"
    with pytest.raises(Unreadable):
        read(nested(MAX_DEPTH + 1))


def test_too_many_brackets_are_refused_before_they_are_counted_out() -> None:
    body = b'{"model":"m","a":[' + b",".join([b"[]"] * (MAX_BRACKETS // 2)) + b"]}"
    with pytest.raises(Unreadable):
        read(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='[]{}"\\\n\u00e9 '),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='[{"\\'), inner, max_size=3)
    ),
    max_leaves=30,
)


def depth(value: Any) -> int:
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 0


@given(JSON, st.integers(0, 6))
def test_the_depth_is_that_of_the_value_whatever_its_strings_hold(value: Any, levels: int) -> None:
    assert deeper_than(json.dumps(value).encode(), levels) == (depth(value) > levels)
