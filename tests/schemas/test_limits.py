"""The governor's records: they come back as they went, and nothing that stands there breaks a reader."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.journal import ProcessId, SessionId
from headrace.schemas.limits import (
    Beat,
    Claim,
    Command,
    End,
    Epoch,
    Flow,
    FlowGrant,
    FlowReport,
    Grants,
    Refund,
    Report,
    SessionGrant,
    Units,
    Unreadable,
    Want,
    decode_command,
    decode_report,
    encode,
)
from headrace.schemas.names import DeploymentName, LaneName, Tenant

FLOW = Flow(DeploymentName("d"), LaneName("standard"), Tenant("t"))
REPORT = Report(
    ProcessId("p"),
    SessionId("p.1"),
    7,
    1234,
    250,
    Epoch(3),
    [FlowReport(FLOW, Units(1, 2, 3), Units(), 1, [Want(5, 10, 20, 4)], None, [Refund(1, 0, 9)])],
)
COMMANDS: list[Command] = [
    Claim(Epoch(4), ProcessId("g")),
    Beat(Epoch(4), 9),
    Grants(
        Epoch(4), [SessionGrant(SessionId("p.1"), 1234, 10_000, [FlowGrant(FLOW, Units(2, 4, 6))])]
    ),
    End(Epoch(4), SessionId("p.1"), 99, [(FLOW, Units(1, 2, 3))]),
]


def test_a_report_comes_back_as_it_went() -> None:
    assert decode_report(encode(REPORT)) == REPORT


@pytest.mark.parametrize("command", COMMANDS, ids=lambda one: type(one).__name__)
def test_a_command_comes_back_as_it_went(command: Command) -> None:
    assert decode_command(encode(command)) == command


def test_a_field_that_a_later_version_adds_is_passed_over() -> None:
    assert decode_command(b'["beat.1",4,9,"more"]') == Beat(Epoch(4), 9)


@pytest.mark.parametrize(
    "value", [b"", b"null", b"{}", b'["beat.2",4,9]', b'["report.1"]', b"[" * 100_000, b"\xff\xfe"]
)
def test_what_cannot_be_read_is_a_value(value: bytes) -> None:
    assert isinstance(decode_command(value), Unreadable)
    assert isinstance(decode_report(value), Unreadable)


@given(st.data())
def test_a_damaged_record_is_a_value(data: st.DataObject) -> None:
    whole = encode(REPORT)
    cut = data.draw(st.integers(0, len(whole) - 1))
    noise = data.draw(st.binary(max_size=4))
    assert isinstance(decode_report(whole[:cut]), Unreadable)
    assert isinstance(decode_report(whole[:cut] + noise + whole[cut:]), Report | Unreadable)
