"""How much text an event of a stream brings, for streams that do not tell their tokens. No I/O."""

from typing import Final

import msgspec

_NULL: Final = msgspec.Raw(b"null")
_QUOTE: Final = ord('"')


class _Function(msgspec.Struct):
    arguments: msgspec.Raw = _NULL
    name: msgspec.Raw = _NULL


class _ToolCall(msgspec.Struct):
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: msgspec.Raw = _NULL
    reasoning_content: msgspec.Raw = _NULL
    reasoning: msgspec.Raw = _NULL
    refusal: msgspec.Raw = _NULL
    tool_calls: list[_ToolCall] | None = None
    function_call: _Function | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    text: msgspec.Raw = _NULL


_choices = msgspec.json.Decoder(list[_Choice] | None)


def text_of(choices: msgspec.Raw) -> tuple[int, int]:
    """The choices that have text in an event's `choices`, and that text's bytes as JSON.

    (0, 0) for what is not formed as OpenAI's are: a guess is no reason to break a stream.
    """
    try:
        read = _choices.decode(choices)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return 0, 0
    pieces = total = 0
    for choice in read or ():
        size = _in_choice(choice)
        pieces += size > 0
        total += size
    return pieces, total


def _in_choice(choice: _Choice) -> int:
    size = _length(choice.text)
    delta = choice.delta
    if delta is None:
        return size
    # Some upstreams have the same reasoning under both names.
    size += max(_length(delta.reasoning_content), _length(delta.reasoning))
    size += _length(delta.content) + _length(delta.refusal)
    for call in delta.tool_calls or ():
        size += _in_function(call.function)
    return size + _in_function(delta.function_call)


def _in_function(function: _Function | None) -> int:
    return _length(function.arguments) + _length(function.name) if function else 0


def _length(text: msgspec.Raw) -> int:
    if text is _NULL:
        return 0  # by far the most fields of an event
    view = memoryview(text)
    return view.nbytes - 2 if view[0] == _QUOTE else 0
