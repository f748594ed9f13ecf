"""Adapters that call the models: the only room that opens connections to an upstream.

How it works. `openai` makes the call, `answer` reads what comes back; both stand on parts without
I/O: `sse` finds the events, `coalesce` decides when they go out, `rename` puts the upstream's model
name into the body, `inflate` unpacks within a bound, `passing` picks the headers that matter.
`watch` ends a call that takes too long, `breaks` says what a foreign exception means.
"""

from headrace.dispatcher.upstreams.openai import OpenAIUpstream

__all__ = ["OpenAIUpstream"]
