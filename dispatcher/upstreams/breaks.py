"""The one map from what aiohttp raises to how a call broke."""

import aiohttp

from headrace.dispatcher.ports import Break
from headrace.dispatcher.upstreams.answer import Malformed
from headrace.dispatcher.upstreams.inflate import TooLarge, Undecodable
from headrace.dispatcher.upstreams.watch import Overdue

ENDS_OF_CALLS = (aiohttp.ClientError, OSError, Malformed, Overdue, TooLarge, Undecodable)
"""What may end a call without being a fault of ours."""


def broken_by(error: Exception, *, sent: bool, answered: bool) -> Break:
    """How a call broke: `sent` in full or not, with the head of an answer or without.

    A connection kept alive that the upstream closed just before the call looks like a reset after
    the request was sent: nothing can tell the two apart, so it is `NO_ANSWER`.
    """
    if isinstance(error, Overdue):
        waiting = error.broken is Break.FIRST_BYTE_TIMEOUT
        return Break.NOT_SENT if waiting and not sent else error.broken
    if isinstance(error, TooLarge):
        return Break.TOO_LARGE
    if answered or isinstance(error, aiohttp.ClientResponseError):
        return Break.STREAM_BROKEN
    return Break.NO_ANSWER if sent else Break.NOT_SENT


def detail_of(error: Exception) -> str:
    """A few words for logs: aiohttp's texts quote headers, except where it could not connect."""
    if isinstance(error, aiohttp.ClientConnectorError | Malformed | Overdue | Undecodable):
        return str(error)[:200]
    return type(error).__name__
