"""W3C trace context, as far as it is looked into."""

import re
from typing import Final

TRACEPARENT: Final = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
"""Version, trace id, parent id, flags."""


def traced(traceparent: bytes) -> dict[str, str]:
    """The field of a log line that names the trace; nothing for what is no trace context."""
    match = TRACEPARENT.fullmatch(traceparent)
    return {"trace_id": match[1].decode()} if match else {}
