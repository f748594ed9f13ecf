"""What sessions have queued, and which of it their credits in hand do not cover yet."""

from collections.abc import Iterable
from typing import Final

from headrace.dispatcher.governor.account import Account, minus, plus
from headrace.schemas.journal import SessionId
from headrace.schemas.limits import NOTHING, Flow, Units, Want

TOLD: Final = 16
"""Requests of a flow that a report tells of."""
NEAR_MS: Final = 100
"""Requests of one size count as queued at one time if they were within it."""


def merged(sizes: Iterable[tuple[int, Units]]) -> list[Want]:
    """Requests by rank and size, in their order, as they are told; near and equal neighbours together."""
    wants: list[Want] = []
    for rank, (_, tokens_in, tokens_out) in sizes:
        last = wants[-1] if wants else None
        alike = last is not None and (last.input, last.output) == (tokens_in, tokens_out)
        if last is not None and alike and rank - last.rank <= NEAR_MS:
            wants[-1] = Want(last.rank, tokens_in, tokens_out, last.count + 1)
        else:
            wants.append(Want(rank, tokens_in, tokens_out))
    return wants


def total(wants: Iterable[Want]) -> Units:
    """What they take together."""
    requests = tokens_in = tokens_out = 0
    for want in wants:
        requests += want.count
        tokens_in += want.count * want.input
        tokens_out += want.count * want.output
    return Units(requests, tokens_in, tokens_out)


class Session:
    """One life of a dispatcher's credits, as the owner knows it. Times are the log's."""

    __slots__ = (
        "ending",
        "followed",
        "heard_ms",
        "known",
        "mono_ms",
        "name",
        "over_ms",
        "queues",
        "seq",
        "silent",
        "stated_ms",
        "tick_ms",
        "vouched",
    )

    def __init__(self, name: SessionId, *, heard_ms: int) -> None:
        """Nothing is told of it yet."""
        self.name = name
        self.known = True
        """False: it has been granted something that the log does not tell; it gets nothing."""
        self.vouched = False
        """Whether all that it was granted is known: this owner stated it, or a log without gaps does."""
        self.followed = False
        """Whether its dispatcher was heard of under a newer session: this one has lapsed."""
        self.heard_ms = heard_ms
        """Receipt of its newest report."""
        self.seq = -1
        self.mono_ms: int | None = None
        self.tick_ms = 0
        self.stated_ms: int | None = None
        """When the owner last stated what it has."""
        self.silent = False
        """Whether it has been quiet for longer than it said: it gets nothing new."""
        self.ending = False
        """Whether it said that it is over."""
        self.over_ms: int | None = None
        """Since when it can spend nothing, ever."""
        self.queues: dict[Flow, Queue] = {}


class Queue:
    """The queued requests of one session in one flow, as its newest report tells."""

    __slots__ = (
        *("_credit", "_left", "_runs", "_turn"),
        *("account", "full", "queued", "session", "usual"),
    )

    def __init__(self, session: Session, account: Account) -> None:
        """Empty."""
        self.session = session
        self.account = account
        self.usual: Units | None = None
        self.full = False
        """Whether there may be more than was told."""
        self.queued = 0
        """Requests in the whole queue."""
        self._runs: list[Want] = []
        self._turn = 0
        self._left = 0
        self._credit = NOTHING

    def tell(self, runs: list[Want], usual: Units | None, queued: int = 0) -> None:
        """The first of what is queued now, of `queued`. What was granted meanwhile is for them."""
        self.queued = queued
        self._runs = runs
        self.full = sum(run.count for run in runs) >= TOLD
        self.usual = usual
        self._turn = 0
        self._left = runs[0].count if runs else 0
        self._credit = self.account.credit()

    def head(self) -> Want | None:
        """The first request that the credits in hand do not cover."""
        while self._turn < len(self._runs):
            run = self._runs[self._turn]
            if self._left > 0:
                credit = self._credit
                if credit[0] < 1 or credit[1] < run.input or credit[2] < run.output:
                    return run
                self._step(run)
            else:
                self._turn += 1
                if self._turn < len(self._runs):
                    self._left = self._runs[self._turn].count
        return None

    def need(self, head: Want) -> Units:
        """What the first request lacks."""
        requests, tokens_in, tokens_out = self._credit
        return Units(
            max(0, 1 - requests), max(0, head.input - tokens_in), max(0, head.output - tokens_out)
        )

    def granted(self, head: Want) -> None:
        """The first request has what it needs."""
        self._credit = plus(self._credit, self.need(head))
        self._step(head)

    def given(self, units: Units) -> None:
        """Credits that no request asked for."""
        self._credit = plus(self._credit, units)

    def skip(self) -> None:
        """The first request can never be granted."""
        self._left -= 1

    def _step(self, head: Want) -> None:
        self._credit = minus(self._credit, Units(1, head.input, head.output))
        self._left -= 1
