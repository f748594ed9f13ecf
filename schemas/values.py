"""Values of Headrace's own records, read so that whatever stands in one ends in a single kind of error."""

from typing import TypeVar

import msgspec

Value = TypeVar("Value")


def read_value(decoder: msgspec.json.Decoder[Value], value: bytes) -> Value:
    """Decode a JSON value. Raises `msgspec.MsgspecError`, also for what msgspec tells otherwise."""
    try:
        return decoder.decode(value)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error
