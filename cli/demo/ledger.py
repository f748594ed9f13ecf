"""The clients' history while it is written: who was asked what, and what came of it."""

from collections.abc import Callable

import msgspec

from headrace.cli.demo.evidence import Asked
from headrace.cli.demo.prompts import Prompt


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """How a request ended at its client; the fields are those of `Asked`."""

    body_sha256: str = ""
    status: int = 0
    request_id: str = ""
    answer_sha256: str = ""
    error: str = ""


class Ledger:
    """One line a request; written from threads too (a line is replaced in one step)."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._lines: dict[int, Asked] = {}

    @property
    def history(self) -> tuple[Asked, ...]:
        """All lines so far, in the order of sending."""
        return tuple(self._lines.values())

    @property
    def open_streams(self) -> int:
        """Streams that were asked for and have not ended."""
        return sum(asked.stream and not asked.ended_at for asked in self.history)

    def sent(self, number: int, prompt: Prompt) -> None:
        """The request leaves its client now."""
        self._lines[number] = Asked(
            number=number,
            lane=prompt.lane,
            model=prompt.model,
            stream=prompt.stream,
            client=prompt.client,
            sent_at=self._now_ms(),
        )

    def ended(self, number: int, seen: Seen) -> None:
        """Its client has all that will come."""
        line = self._lines[number]
        ending = msgspec.structs.asdict(seen)
        self._lines[number] = msgspec.structs.replace(line, ended_at=self._now_ms(), **ending)
