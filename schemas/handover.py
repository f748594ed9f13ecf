"""Requests that are handed on to a delay topic: whose hand-over counts, as that topic itself tells.

How it works. A dispatcher that hands a request on writes the delay record first and DONE second; it may
die between the two, or be frozen before the first. Its successor must not run the request when the
record is there, and the record must not run when the successor does. So a successor writes a *mark* into
each delay partition that the record could be in (same key, all tiers), and reads them up to its mark: a
hand-over before the mark goes on, one behind it counts for nothing. Readers of the delay topic see the
same log and decide the same (`journal.counts`).

A request that was *parked* runs elsewhere while a copy waits in the delay topic; a mark of no session
says that it has ended, and the copy is dropped.
"""

import msgspec

from headrace.schemas.headers import H
from headrace.schemas.journal import Mark, SessionId
from headrace.schemas.records import Headers
from headrace.schemas.wire import MalformedRecord, header_text

CHAIN_TYPE = b"headrace.chain"
ENDED = ""
"""In place of a session: the request has come to its end."""


class Origin(msgspec.Struct, frozen=True):
    """What a delay record was handed on from: where it stood, the attempt it had come to, by whom."""

    place: str
    attempt: int
    session: SessionId

    def encode(self) -> bytes:
        """The header's value."""
        return f"{self.place};{self.attempt};{self.session}".encode()


def origin(headers: Headers, name: H = H.HANDED_ON_FROM) -> Origin | None:
    """The origin that a delay record names; None without one, or where it cannot be read."""
    value = next((value for header, value in headers if header == name), None)
    if value is None:
        return None
    try:
        place, attempt, session = header_text(value).split(";")
        return Origin(place, int(attempt), SessionId(session))
    except (ValueError, MalformedRecord):
        return None


def mark_headers(mark: Mark) -> list[tuple[str, bytes]]:
    """Headers of a mark; its value is empty, its key the request id."""
    told = f"{mark.place};{mark.session};{mark.epoch};{mark.until_ms}"
    return [(H.TYPE.value, CHAIN_TYPE), (H.CHAIN.value, told.encode())]


def mark_of(headers: Headers, offset: int) -> Mark | None:
    """The mark that stands at `offset`; None for any other record."""
    if len(headers) != 2 or headers[0][1] != CHAIN_TYPE:
        return None
    try:
        place, session, epoch, until_ms = header_text(headers[1][1]).split(";")
        return Mark(place, offset, session, int(epoch), int(until_ms))
    except (ValueError, MalformedRecord):
        return None
