"""Breaking an answer on purpose: pure changes of bodies and event streams, and how they end."""

from collections.abc import Iterator
from enum import StrEnum
from itertools import chain, islice

from headrace.cli.mock.errors import error_body, error_words
from headrace.cli.mock.script import Fault, Script
from headrace.cli.mock.streams import DONE, Frame, event

MALFORMED_EVENT = b'data: {"id":"chatcmpl-broken","choices":[{"delta":\n\n'
BAD_UTF8_EVENT = (
    b'data: {"choices":[{"index":0,"delta":{"content":"\xff\xfe\xc3"},"finish_reason":null}]}\n\n'
)
SILENT = frozenset({Fault.RESET, Fault.CLOSE, Fault.STALL})


class Ending(StrEnum):
    """What happens to the connection after the last byte."""

    COMPLETE = "complete"
    RESET = "reset"
    FIN = "fin"
    HANG = "hang"


ENDINGS = {
    Fault.RESET: Ending.RESET,
    Fault.CLOSE: Ending.FIN,
    Fault.STALL: Ending.HANG,
    Fault.STALL_AFTER: Ending.HANG,
    Fault.CUT: Ending.RESET,
    Fault.FIN: Ending.FIN,
}


def ending_of(fault: Fault) -> Ending:
    """How an answer with `fault` ends."""
    return ENDINGS.get(fault, Ending.COMPLETE)


def break_stream(
    frames: Iterator[Frame], fault: Fault, script: Script, status: int
) -> Iterator[Frame]:
    """The events of a broken stream: the first `after` of them, then what `fault` does."""
    kept = islice(frames, script.after)
    if fault in (Fault.CUT, Fault.FIN, Fault.STALL_AFTER, Fault.NO_DONE):
        return kept
    if fault is Fault.TRUNCATE:
        return chain(kept, _halved(frames))
    if fault is Fault.ERROR_EVENT:
        return chain(kept, _error_frames(frames, status, script.code))
    if fault in (Fault.MALFORMED, Fault.BAD_UTF8, Fault.HUGE_LINE):
        return chain(kept, _inserted(frames, _bad_event(fault, script)))
    return frames


def _halved(frames: Iterator[Frame]) -> Iterator[Frame]:
    for at_token, payload in islice(frames, 1):
        yield Frame(at_token, payload[: len(payload) // 2])


def _error_frames(frames: Iterator[Frame], status: int, code: str) -> Iterator[Frame]:
    """The error object, then [DONE] like a server that believes all is well (vLLM does it)."""
    for at_token, _ in islice(frames, 1):
        error = error_body(error_words(500 if status == 200 else status, code))
        yield Frame(at_token, b"data: " + error + b"\n\n")
        yield Frame(at_token, DONE)


def _inserted(frames: Iterator[Frame], payload: bytes) -> Iterator[Frame]:
    for index, frame in enumerate(frames):
        if index == 0:
            yield Frame(frame.at_token, payload)
        yield frame


def _bad_event(fault: Fault, script: Script) -> bytes:
    if fault is Fault.MALFORMED:
        return MALFORMED_EVENT
    if fault is Fault.BAD_UTF8:
        return BAD_UTF8_EVENT
    content = {"delta": {"content": "x" * script.huge_bytes}}
    return event({"choices": [{"index": 0, **content, "finish_reason": None}]})


def break_body(body: bytes, fault: Fault, script: Script, status: int) -> bytes:
    """The part or the changed form of a plain body that is sent under `fault`."""
    if fault in (Fault.CUT, Fault.FIN, Fault.STALL_AFTER, Fault.TRUNCATE):
        return body[: len(body) // 2]
    if fault is Fault.MALFORMED:
        return body[:-1] + b",,"
    if fault is Fault.BAD_UTF8:
        return body[:-1] + b',"note":"\xff\xfe\xc3"}'
    if fault is Fault.HUGE_LINE:
        return body[:-1] + b',"note":"' + b"x" * script.huge_bytes + b'"}'
    if fault is Fault.ERROR_EVENT:
        return error_body(error_words(500 if status == 200 else status, script.code))
    return body


def declared_length(body: bytes, sent: bytes, fault: Fault) -> int:
    """Content-Length: the whole body's where the connection breaks before its end."""
    return len(body) if ending_of(fault) is not Ending.COMPLETE else len(sent)
