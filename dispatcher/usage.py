"""What an answer tells of the tokens that it took. No I/O."""

import msgspec

from headrace.dispatcher.costs import Used
from headrace.dispatcher.ports import Break, CallEnd


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Body(msgspec.Struct):
    usage: _Usage | None = None


_usage = msgspec.json.Decoder(_Usage | None)
_body = msgspec.json.Decoder(_Body)


def used_by(end: CallEnd) -> Used | None:
    """None: it does not tell, and what was reserved counts as used."""
    if end.broken is Break.NOT_SENT:
        return Used(0, 0)
    if not end.answered:
        return None
    try:
        told = _usage.decode(end.usage) if end.usage else _of_body(end)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if told is None or told.prompt_tokens <= 0:
        return None
    if told.completion_tokens <= 0 and end.text.pieces:
        return None  # it spoke too soon
    return Used(told.prompt_tokens, told.completion_tokens)


def _of_body(end: CallEnd) -> _Usage | None:
    """Of a plain answer; what is left of a stream is no JSON."""
    return _body.decode(end.body).usage if end.body[:1] == b"{" else None
