"""What the marks of one delay partition tell, by place (see `schemas.handover`). No I/O."""

from collections.abc import Iterable, Sequence

from headrace.schemas.journal import Mark

SWEEP_MS = 10_000
"""How often those are looked for whose time is over: there may be tens of thousands."""


class Marks:
    """The marks that were met, each kept until nothing can be handed on from its place any more."""

    def __init__(self, known: Iterable[Mark]) -> None:
        """`known` may tell a mark twice."""
        self._of: dict[str, list[Mark]] = {}
        self._swept_ms = 0
        for mark in dict.fromkeys(known):
            self._of.setdefault(mark.place, []).append(mark)

    def __len__(self) -> int:
        return len(self._of)

    def add(self, mark: Mark, now_ms: int) -> None:
        """A mark was met; those whose time is over are forgotten."""
        self._of.setdefault(mark.place, []).append(mark)
        if now_ms >= self._swept_ms + SWEEP_MS:
            self._swept_ms = now_ms
            self._of = {p: marks for p, marks in self._of.items() if marks[-1].until_ms >= now_ms}

    def of(self, place: str) -> Sequence[Mark]:
        """The marks of a place, oldest first."""
        return self._of.get(place, ())

    def all(self) -> list[Mark]:
        """All of them."""
        return [mark for marks in self._of.values() for mark in marks]
