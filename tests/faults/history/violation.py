"""What a check finds."""

from collections.abc import Callable, Iterator
from enum import StrEnum

import msgspec

from faults.history.evidence import Evidence


class Promise(StrEnum):
    """The promises that a history can prove broken."""

    P1 = "P1"
    P2 = "P2"
    P3 = "P3"
    P4 = "P4"
    P5 = "P5"
    P6 = "P6"
    P8 = "P8"
    P11 = "P11"
    P13 = "P13"
    P15 = "P15"


class Violation(msgspec.Struct, frozen=True):
    """A promise that was broken, by whom, how, and where that can be seen."""

    promise: Promise
    subject: str
    """The request's id, or a partition."""
    what: str
    seen_at: tuple[str, ...] = ()
    """Places of records, numbers of calls, lines of the history."""

    def __str__(self) -> str:
        where = f" ({', '.join(self.seen_at)})" if self.seen_at else ""
        return f"{self.promise}: {self.subject}: {self.what}{where}"


Check = Callable[[Evidence], Iterator[Violation]]
