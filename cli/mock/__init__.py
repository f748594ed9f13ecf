"""A scripted OpenAI-compatible upstream: deterministic answers, chosen failures, an own call log.

How it works. A call is read (`calls`), its script is put together from configuration, model name,
body and header (`script`, `layers`), its failure is decided by a pure function (`failures`,
`window`), its answer is built from the digest of its body (`answers`, `streams`, `embeddings`,
`faults`), and only then something is awaited (`service`, `perform`, `http`). The log (`log`) has
a line for the receipt before anything else happens, and one for the end.
"""

from headrace.cli.mock.config import MockConfig
from headrace.cli.mock.upstream import MockUpstream

__all__ = ["MockConfig", "MockUpstream"]
