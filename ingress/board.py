"""The reply board: who waits for which answer. Sans-IO: decoded replies in, answers out, `now` passed in.

How it works. `expect` registers a waiter before its request is produced, so that no answer can come
too early. `deliver` takes each reply record of this process:

- a plain waiter takes the first final, whatever its attempt;
- a stream is pinned to the attempt (and process) of its first byte. Chunks are put in order by seq
  (the final may overtake chunks, it travels through another producer), repeats are dropped and
  counted, a gap is waited for `GAP_S`. Until the first byte a newer attempt takes over from an older
  one; after it, a final of a newer attempt ends the stream with an error, and whatever is older is
  dropped (P11, P13);
- a long final comes in parts, joined per attempt.

`sweep`, called a few times a second, is the only timer: a request costs none of its own.
"""

from collections.abc import Callable, Iterator

import msgspec

from headrace.ingress.refusal import Refusal
from headrace.ingress.waiter import Waiter
from headrace.schemas.errors import Code
from headrace.schemas.names import RequestId
from headrace.schemas.replies import Reply

GAP_S = 5.0
"""How long a missing chunk may stay missing: longer than a producer's retries in a healthy cluster."""


SLOW_S = 5.0
"""A client that took nothing for so long while more than its backlog waits is cut: a shorter pause may
be ours, when one fetch of replies brings megabytes before the stream's turn comes."""
FAR_BEHIND = 8
"""Times its backlog: a client is cut at once."""


class BoardPolicy(msgspec.Struct, frozen=True):
    """The board's bounds."""

    max_waiters: int
    max_bytes: int
    max_stream_backlog_bytes: int
    keepalive_s: float


class ReplyBoard:
    """Waiters by request id."""

    def __init__(self, policy: BoardPolicy) -> None:
        self._policy = policy
        self._waiters: dict[RequestId, Waiter] = {}
        self.held_bytes = 0
        """Bytes of answers that no client has taken yet."""
        self.dropped = 0
        """Replies nobody waits for: repeats, late answers, output of older attempts."""
        self.stray: Callable[[Reply], bool] = lambda _: False
        """Asked about replies to requests that are not on the board; True where it took one."""

    def __len__(self) -> int:
        return len(self._waiters)

    @property
    def full(self) -> bool:
        """Whether a further waiter would pass a bound."""
        return (
            len(self._waiters) >= self._policy.max_waiters
            or self.held_bytes >= self._policy.max_bytes
        )

    def expect(self, waiter: Waiter) -> None:
        """Register `waiter`. The caller has seen that the board is not `full`."""
        self._waiters[waiter.id] = waiter

    def drop(self, waiter: Waiter) -> None:
        """Forget `waiter` and what is held for it."""
        self._waiters.pop(waiter.id, None)
        self.held_bytes -= waiter.held
        waiter.held = 0

    def take(self, waiter: Waiter) -> bytes:
        """The stream bytes that have come in order since the last call."""
        ready = waiter.ready
        if not ready:
            return b""
        chunk = ready.popleft() if len(ready) == 1 else b"".join(ready)
        ready.clear()
        waiter.behind_since = 0.0
        self._hold(waiter, -len(chunk))
        return chunk

    def fail(self, waiter: Waiter, failure: Refusal) -> None:
        """Settle `waiter` with an error of ours, unless it is settled."""
        if not waiter.settled:
            waiter.failure = failure
            waiter.settled = True
            waiter.party.wake()

    def fail_id(self, request_id: RequestId, failure: Refusal) -> None:
        """Settle whoever waits for this request, if anybody does."""
        waiter = self._waiters.get(request_id)
        if waiter is not None:
            self.fail(waiter, failure)

    def fail_all(self, failure: Refusal) -> None:
        """Settle every waiter with `failure`."""
        for waiter in self._waiters.values():
            self.fail(waiter, failure)

    def deliver(self, reply: Reply, now: float) -> None:
        """Take one reply record that carries this process's name."""
        waiter = self._waiters.get(reply.id)
        if waiter is None:
            if not self.stray(reply):
                self.dropped += 1
        elif waiter.settled:
            self.dropped += 1
        elif waiter.stream:
            self._deliver_stream(waiter, reply, now)
        elif not reply.final:
            self.dropped += 1
        else:
            whole = reply if reply.part == (1, 1) else self._join(waiter, reply)
            if whole is not None:
                self._finish(waiter, whole)

    def sweep(self, now: float) -> None:
        """Fail what waited too long, cut who does not read, wake streams that need a comment."""
        for waiter in self._waiters.values():
            if now >= waiter.ends_at:
                if waiter.settled:
                    waiter.party.cut()
                else:
                    self.fail(waiter, _OVERDUE)
                    waiter.ends_at = now + GAP_S
            elif waiter.settled:
                continue
            elif waiter.next_seq == 1 and now >= waiter.waits_until:
                self.fail(waiter, waiter.overlong())
            elif waiter.gap_since and now - waiter.gap_since >= GAP_S:
                self.fail(waiter, _LOST)
            elif waiter.behind_since and now - waiter.behind_since >= SLOW_S:
                self._cut(waiter)
            elif waiter.stream and now - waiter.touched_at >= self._policy.keepalive_s:
                waiter.tick = True
                waiter.party.wake()

    def _deliver_stream(self, waiter: Waiter, reply: Reply, now: float) -> None:
        other = reply.attempt != waiter.attempt or reply.source != waiter.source
        if other and not self._pin(waiter, reply):
            return
        whole = reply
        if reply.final and reply.part != (1, 1):
            joined = self._join(waiter, reply)
            if joined is None:
                return
            whole = joined
        if whole.seq == waiter.next_seq:
            self._accept(waiter, whole, now)
            for early in self._followers(waiter):
                self._accept(waiter, early, now)
            waiter.gap_since = now if waiter.early else 0.0
        else:
            self._keep_early(waiter, whole, now)

    def _pin(self, waiter: Waiter, reply: Reply) -> bool:
        """Whether a reply of another attempt than the stream's is to be taken.

        A number can be used twice: a crash may come before the journal knows of the attempt.
        """
        newer = reply.attempt >= waiter.attempt
        if waiter.next_seq == 1 and newer:
            waiter.attempt, waiter.source = reply.attempt, reply.source
            for early in (waiter.early or {}).values():
                self._hold(waiter, -len(early.body))
                self.dropped += 1
            waiter.early = None
            waiter.gap_since = 0.0
            return True
        if reply.final and newer:
            self.fail(waiter, _BROKEN)
        else:
            self.dropped += 1
        return False

    def _keep_early(self, waiter: Waiter, reply: Reply, now: float) -> None:
        early = waiter.early
        if early is None:
            early = waiter.early = {}
        if reply.seq < waiter.next_seq or reply.seq in early:
            self.dropped += 1
        elif self._room(waiter, len(reply.body)):
            early[reply.seq] = reply
            self._hold(waiter, len(reply.body))
            waiter.gap_since = waiter.gap_since or now

    def _followers(self, waiter: Waiter) -> Iterator[Reply]:
        early = waiter.early
        while early and waiter.next_seq in early:
            reply = early.pop(waiter.next_seq)
            self._hold(waiter, -len(reply.body))
            yield reply

    def _accept(self, waiter: Waiter, reply: Reply, now: float) -> None:
        if waiter.settled:
            return
        if reply.final:
            self._finish(waiter, reply)
            return
        if waiter.next_seq == 1:
            waiter.queue_ms, waiter.upstream = reply.queue_ms, reply.upstream
        waiter.next_seq += 1
        if not self._room(waiter, len(reply.body)):
            return
        assert waiter.ready is not None  # noqa: S101 - only streams come here
        waiter.passed += len(reply.body)
        waiter.ready.append(reply.body)
        self._hold(waiter, len(reply.body))
        if waiter.held > self._policy.max_stream_backlog_bytes:
            waiter.behind_since = waiter.behind_since or now
        if waiter.held > FAR_BEHIND * self._policy.max_stream_backlog_bytes:
            self._cut(waiter)
        else:
            waiter.party.wake()

    def _cut(self, waiter: Waiter) -> None:
        self.fail(waiter, _TOO_SLOW)
        waiter.party.cut()

    def _finish(self, waiter: Waiter, reply: Reply) -> None:
        if reply.whole:
            reply.body = reply.body[waiter.passed :]
        if self._room(waiter, len(reply.body)):
            waiter.final = reply
            waiter.settled = True
            self._hold(waiter, len(reply.body))
            waiter.party.wake()

    def _join(self, waiter: Waiter, reply: Reply) -> Reply | None:
        """The whole final once its last part is here."""
        index, count = reply.part
        if waiter.parts is None:
            waiter.parts = {}
        parts = waiter.parts.setdefault(reply.attempt, [])
        if index != len(parts) + 1:
            if index <= len(parts):
                self.dropped += 1
            else:
                self.fail(waiter, _LOST)
            return None
        if not self._room(waiter, len(reply.body)):
            return None
        parts.append(reply.body)
        self._hold(waiter, len(reply.body))
        if index < count:
            return None
        reply.body = b"".join(parts)
        for bodies in waiter.parts.values():
            self._hold(waiter, -sum(map(len, bodies)))
        waiter.parts = None
        reply.part = (1, 1)
        return reply

    def _room(self, waiter: Waiter, size: int) -> bool:
        if self.held_bytes + size <= self._policy.max_bytes:
            return True
        self.fail(waiter, _NO_ROOM)
        return False

    def _hold(self, waiter: Waiter, size: int) -> None:
        waiter.held += size
        self.held_bytes += size


_OVERDUE = Refusal(Code.DEADLINE_EXCEEDED, "The deadline passed, and no answer came.")
_LOST = Refusal(Code.REPLY_LOST, "A part of the answer is missing.")
_BROKEN = Refusal(
    Code.UPSTREAM_STREAM_BROKEN, "The stream broke, and another attempt has ended it."
)
_TOO_SLOW = Refusal(Code.CLIENT_TOO_SLOW, "The client did not read its stream.")
_NO_ROOM = Refusal(
    Code.REPLY_LOST,
    "There is no room for the answer: other clients do not read theirs.",
    retry_after_s=5,
)
