"""Another model name in a body."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.dispatcher.upstreams.rename import rename_model


@pytest.mark.parametrize(
    ("body", "renamed"),
    [
        (b'{"model":"a"}', b'{"model":"new"}'),
        (b' {\n "model" : "a" ,\t"x": 1 }\r\n', b' {\n "model" : "new" ,\t"x": 1 }\r\n'),
        (b'{"x":{"model":"a"},"model":"a"}', b'{"x":{"model":"a"},"model":"new"}'),
        (b'{"x":"\\"model\\":\\"a\\"","model":"a"}', b'{"x":"\\"model\\":\\"a\\"","model":"new"}'),
        (b'{"m\\u006fdel":"a\\"b"}', b'{"m\\u006fdel":"new"}'),
        (b'{"model":"a","model":"b"}', b'{"model":"new","model":"new"}'),
        (b'{"x":1,"x":12,"model":"a"}', b'{"x":1,"x":12,"model":"new"}'),
        (b'{"x":12,"x":1,"model":"a"}', b'{"x":12,"x":1,"model":"new"}'),
        (
            b'{"x":{"y":[1,"}"]},"x":-1e5,"model":"a"}',
            b'{"x":{"y":[1,"}"]},"x":-1e5,"model":"new"}',
        ),
        (b'{"x":"\xc3\xbc","x":2,"model":"\xc3\xbc"}', b'{"x":"\xc3\xbc","x":2,"model":"new"}'),
        (b'{"model":null}', b'{"model":"new"}'),
        (b'{"x":1}', b'{"x":1}'),
        (b"{}", b"{}"),
        (b"[]", b"[]"),
        (b"", b""),
        (b'{"model":"a"', b'{"model":"a"'),
        (b'{"model":"\xff"', b'{"model":"\xff"'),
        (b'{"model":' + b"[" * 99_999, b'{"model":' + b"[" * 99_999),
    ],
)
def test_only_the_outermost_model_changes(body: bytes, renamed: bytes) -> None:
    assert rename_model(body, "new") == renamed


@pytest.mark.parametrize("member", [b'"x%d":1', b'"x":[%d]'])
def test_a_body_with_too_many_members_is_left_alone(member: bytes) -> None:
    body = b"{" + b",".join(member % n for n in range(100_000)) + b',"model":"a"}'
    assert rename_model(body, "new") == body


def test_the_new_name_is_escaped() -> None:
    assert rename_model(b'{"model":"a"}', 'x"\n') == b'{"model":"x\\"\\n"}'


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["model", "x", 'q"', "\\"]), inner, max_size=3)
    ),
    max_leaves=8,
)
members = st.lists(st.tuples(st.sampled_from(["model", "x", 'a"b', "ü"]), values), max_size=6)
blanks = st.text(alphabet=" \t\r\n", max_size=2)


@given(pairs=members, blank=blanks, ascii_only=st.booleans())
def test_everything_else_stays_byte_for_byte(
    pairs: list[tuple[str, Any]], blank: str, ascii_only: bool
) -> None:
    def body(replaced: bool) -> bytes:
        parts = [
            f"{blank}{json.dumps(key, ensure_ascii=ascii_only)}{blank}:{blank}"
            f"{json.dumps('new' if replaced and key == 'model' else value, ensure_ascii=ascii_only)}"
            for key, value in pairs
        ]
        return f"{blank}{{{f'{blank},'.join(parts)}{blank}}}{blank}".encode("utf-8", "replace")

    assert rename_model(body(replaced=False), "new") == body(replaced=True)


@given(st.binary(max_size=60))
def test_any_bytes_pass(body: bytes) -> None:
    assert isinstance(rename_model(body, "new"), bytes)
