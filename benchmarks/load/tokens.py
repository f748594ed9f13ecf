"""Counts the tokens of one stream as its bytes come in. No I/O."""

from benchmarks.upstream.answers import DONE, SENT_NS


class TokenCount:
    """Feed it the body of a stream; bytes may be cut anywhere."""

    def __init__(self) -> None:
        self.tokens = 0
        self.done = False
        self._rest = b""

    def feed(self, body: bytes) -> list[int]:
        """When the tokens that became complete were sent, in nanoseconds."""
        events, separator, self._rest = (self._rest + body).rpartition(b"\n\n")
        if not separator:
            return []
        sent = [int(part[: part.index(b"}")]) for part in events.split(SENT_NS)[1:]]
        self.tokens += len(sent)
        self.done = self.done or (events + separator).endswith(DONE)
        return sent
