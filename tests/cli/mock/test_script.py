"""The words of a script and where they come from."""

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.cli.mock.calls import Endpoint, ModelCall
from headrace.cli.mock.layers import NAMED, Layers, body_script
from headrace.cli.mock.script import (
    Fault,
    Script,
    ScriptError,
    build_script,
    failing_steps,
    parse_words,
)

CALL = ModelCall(Endpoint.CHAT, hashlib.sha256(b"{}").digest(), "gpt")


def test_words_are_separated_by_semicolons_or_commas() -> None:
    assert parse_words("latency_ms=100; status=503,") == {"latency_ms": "100", "status": "503"}


def test_aliases_stand_for_their_words() -> None:
    script = build_script(parse_words("latency=200,tokens=50,tps=20,ttft=5,rpm=60"))
    assert script == Script(
        latency_ms=200, tokens=50, tokens_per_s=20, first_token_ms=5, requests_per_minute=60
    )


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("latncy_ms=5", "latncy_ms"),
        ("status=418", "418"),
        ("status=many", "status"),
        ("latency_ms=nan", "latency_ms"),
        ("latency_ms=inf", "latency_ms"),
        ("tokens=-1", "tokens"),
        ("fault=earthquake", "earthquake"),
        ("fail=500", "500"),
        ("fail=2x418", "418"),
        ("fail=2xearthquake", "earthquake"),
        ("rate_5xx=0.7;rate_429=0.7", "rate_5xx"),
        ("retry_after=1\r\nset-cookie: x", "retry_after"),
    ],
)
def test_a_wrong_word_is_named_in_the_error(text: str, named: str) -> None:
    with pytest.raises(ScriptError, match=named):
        build_script(parse_words(text))


def test_a_part_without_a_value_is_refused() -> None:
    with pytest.raises(ScriptError, match="word=value"):
        parse_words("stall")


def test_fail_is_read_as_steps() -> None:
    assert failing_steps("2x500+1xcut+3x429") == ((2, 500), (1, Fault.CUT), (3, 429))


@given(st.text(max_size=80))
def test_any_text_is_a_script_or_a_script_error(text: str) -> None:
    try:
        script = build_script(parse_words(text))
    except ScriptError:
        return
    assert isinstance(script, Script)


def test_the_later_layer_wins_word_by_word() -> None:
    layers = Layers(
        {"latency_ms": "1", "tokens": "1", "status": "500", "fault": "cut"},
        {"gpt": {"tokens": "2", "status": "502", "fault": "fin"}},
    )
    call = replace(CALL, user="mock:status=503;fault=stall")
    script = layers.script_of(call, "fault=reset")
    assert script == Script(latency_ms=1, tokens=2, status=503, fault=Fault.RESET)


def test_a_parametric_model_name_is_a_script() -> None:
    script = Layers({}, {}).script_of(replace(CALL, model="mock:latency=200,tokens=5"), "")
    assert script == Script(latency_ms=200, tokens=5)


@pytest.mark.parametrize("name", NAMED)
def test_every_named_model_has_a_valid_script(name: str) -> None:
    assert Layers({}, {}).script_of(replace(CALL, model=name), "") == build_script(
        parse_words(NAMED[name])
    )


@pytest.mark.parametrize(
    ("user", "metadata", "script"),
    [
        ("alice", "", ""),
        ("dXNlcg==", "", ""),
        ("status=500", "", "status=500"),
        ("mock:sttus=500", "", "sttus=500"),
        ("latency_ms=1", "status=500", "status=500"),
        ("", "mock:status=500", "status=500"),
    ],
)
def test_a_real_user_id_is_not_taken_for_a_script(user: str, metadata: str, script: str) -> None:
    assert body_script(user, metadata) == script


def test_a_configured_script_that_is_wrong_is_refused_at_once() -> None:
    with pytest.raises(ScriptError, match="tokns"):
        Layers({}, {"gpt": {"tokns": "1"}})
