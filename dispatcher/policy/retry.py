"""What becomes of a request after an upstream call.

How it works. `signals` says what the end means; then, in this order:

1. Once a chunk was forwarded nothing is repeated: the answer, its error event, or `Fail`.
2. An answer, and an error that speaks of the request, settle it.
3. What may have run is not repeated where the request says so.
4. What was never sent is sent again at once, the first time for free; so is what we cut ourselves.
5. Throttling waits as asked and is no attempt, but a bounded number of times.
6. Everything else is repeated with backoff until the allowance is used up: a dead letter. Where nearly
   all calls of the deployment fail it is no attempt: the breaker ends that, not each request for itself.
   Where nothing has worked since the first failure the last attempt waits until the breaker can have spoken.
7. A repeat that the retry budget has no credit for yet is put off, never given up for that.
8. A wait that leaves no time for an answer before the deadline is not begun: another deployment
   now, else `Expire`.

The client of a dead-lettered or expired request gets the upstream's own last answer where there is
one (`pass_on`): a 500 stays a 500, byte for byte.
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from headrace.dispatcher.policy import backoff, retry_after
from headrace.dispatcher.policy.signals import Signal, classify, code_of
from headrace.dispatcher.ports import Break, CallEnd
from headrace.dispatcher.verdicts import After, DeadLetter, Expire, Fail, Reason, Retry, Settle
from headrace.schemas.errors import Code
from headrace.schemas.names import Ambiguous, DeploymentName, Outcome
from headrace.schemas.records import Attempt

HEARD_MS: Final = 3_500
"""A breaker opens within 3 s of an outage's first failures, and everybody knows that a moment later."""
_MAY_HAVE_RUN = frozenset(Break) - {Break.NOT_SENT, Break.TOO_LARGE}
"""Ends of calls that reached the upstream, or may have, and brought no answer."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Bounds on repeating one request."""

    attempts: int = 3
    """Counted attempts, the first included."""
    uncounted: int = 1_000
    """Attempts that are not counted. At full backoff (90 s on average) these take longer than a
    day, the batch lane's default deadline: the deadline ends a throttled request, not this."""

    def __post_init__(self) -> None:
        """Refuse a policy that would never call."""
        if self.attempts < 1 or self.uncounted < 0:
            raise ValueError("a retry policy needs at least one attempt")


@dataclass(frozen=True, slots=True)
class Tried:
    """What was tried for a request before the call that just ended."""

    attempt: int
    """The number of that call, from 1."""
    history: tuple[Attempt, ...]
    """The calls before it, the oldest ones perhaps cut off."""
    deadline_ms: int
    ambiguous: Ambiguous = Ambiguous.RETRY
    """What is wished for a call that may have run."""

    @property
    def failures(self) -> int:
        """Earlier attempts that count."""
        return sum(attempt.counted for attempt in self.history)

    def failing_ms(self, now_ms: int) -> int:
        """When the first of them failed, as far as that is still told; now, if there was none."""
        return next((attempt.at_ms for attempt in self.history if attempt.counted), now_ms)

    @property
    def uncounted(self) -> int:
        """Earlier attempts that do not: also those that a cut history no longer tells of."""
        return max(self.attempt - 1, len(self.history)) - self.failures

    @property
    def throttled(self) -> int:
        """Earlier attempts that an upstream turned away; one lost in a crash has no status."""
        return sum(not attempt.counted and attempt.status > 0 for attempt in self.history)

    @property
    def was_not_sent(self) -> bool:
        """Whether the free repetition of a call that was not sent is used up."""
        return any(attempt.code == Break.NOT_SENT for attempt in self.history)


def after_call(
    end: CallEnd,
    tried: Tried,
    now_ms: int,
    policy: RetryPolicy,
    roll: float,
    *,
    service_ms: int = 0,
    credit_ms: int = 0,
    elsewhere: bool = False,
    outage: bool = False,
    unproven: bool = False,
) -> After:
    """The verdict on a call that ended with `end`.

    `roll` in [0, 1). `service_ms`: how long a call of this model usually takes. `credit_ms`: how
    long until the retry budget allows a repeat. `elsewhere`: another deployment, to which this
    request has not been sent, could take it. `outage`: nearly everything fails where it was sent;
    `unproven`: nothing is known to have worked there since this request began to fail.
    """
    signal = classify(end)
    if end.forwarded:
        return _after_forwarding(end, signal, now_ms, tried.deadline_ms)
    if signal is Signal.COMPLETE:
        return Settle()
    if end.broken in _MAY_HAVE_RUN and tried.ambiguous is not Ambiguous.RETRY:
        return _unrepeated(end, tried.ambiguous)
    if signal is Signal.TOO_LARGE:
        return Fail(Code.RESPONSE_TOO_LARGE, "the upstream's answer is too large")
    now = _Situation(
        now_ms, roll, service_ms, credit_ms, elsewhere=elsewhere, outage=outage, unproven=unproven
    )
    return _repeated(end, signal, tried, policy, now)


@dataclass(frozen=True, slots=True)
class _Situation:
    """What the process knows at the end of the call; see `after_call`."""

    ms: int
    roll: float
    service_ms: int
    credit_ms: int
    elsewhere: bool
    outage: bool
    unproven: bool


def _repeated(
    end: CallEnd, signal: Signal, tried: Tried, policy: RetryPolicy, now: _Situation
) -> After:
    """The verdict on an end that a repeat may mend."""
    may_move = now.elsewhere and tried.failures + 1 < policy.attempts
    if signal is Signal.TERMINAL or (signal is Signal.CREDENTIAL and not may_move):
        return Settle(Outcome.FAILED)
    retry = _next(end, signal, tried, now)
    if _exhausted(retry, tried, policy):
        return _give_up(end, tried)
    last = retry.counted and not retry.elsewhere and tried.failures + 2 == policy.attempts
    if last and now.unproven:
        heard_ms = tried.failing_ms(now.ms) + HEARD_MS
        retry = msgspec.structs.replace(retry, due_ms=max(retry.due_ms, heard_ms))
    return _in_time(retry, end, tried, now)


def attempt_of(
    end: CallEnd, verdict: After, *, number: int, at_ms: int, deployment: DeploymentName
) -> Attempt:
    """The line that this call adds to the request's history."""
    counted = verdict.counted if isinstance(verdict, Retry) else not _is_throttled(classify(end))
    return Attempt(number, at_ms, deployment, end.status, code_of(end), counted)


def _after_forwarding(end: CallEnd, signal: Signal, now_ms: int, deadline_ms: int) -> After:
    if end.broken is None:
        return Settle() if signal is Signal.COMPLETE else Settle(Outcome.FAILED)
    if signal is Signal.TOO_LARGE:
        return Fail(Code.RESPONSE_TOO_LARGE, "the upstream's stream is too large")
    if now_ms >= deadline_ms:
        return Expire("the deadline passed while the answer came")
    return Fail(Code.UPSTREAM_STREAM_BROKEN, f"the upstream's stream ended early: {_what(end)}")


def _next(end: CallEnd, signal: Signal, tried: Tried, now: _Situation) -> Retry:
    """The retry that this end calls for, were there no bounds."""
    if signal is Signal.NOT_SENT and not tried.was_not_sent:
        return Retry(now.ms, signal, counted=False, elsewhere=now.elsewhere)
    if signal is Signal.CUT:
        return Retry(now.ms, signal, counted=False, budgeted=False)
    if signal is Signal.CREDENTIAL:
        # The same key would be refused again, however long the others have no seat.
        return Retry(now.ms, signal, counted=True, elsewhere=True, barred_ms=tried.deadline_ms)
    if _is_throttled(signal):
        return _when_throttled(end, signal, tried, now)
    counted = not now.outage
    times = 1 + (tried.failures if counted else len(tried.history))
    due_ms = now.ms + backoff.transient_ms(times, now.roll)
    asked_ms = now.ms + (retry_after.read(end.headers, now.ms) or 0)
    if now.elsewhere:
        return Retry(due_ms, signal, counted=counted, elsewhere=True, barred_ms=asked_ms)
    return Retry(max(due_ms, asked_ms), signal, counted=counted)


def _when_throttled(end: CallEnd, signal: Signal, tried: Tried, now: _Situation) -> Retry:
    """Another deployment at once, else this one when it is due."""
    asked_ms = retry_after.read(end.headers, now.ms)
    times = tried.throttled + 1
    if signal is Signal.QUOTA and asked_ms is None:
        asked_ms = retry_after.read_reset(end.headers, now.ms)
        # A quota that does not say when it is refilled is asked rarely from the start.
        times = 20 if asked_ms is None else times
    due_ms = now.ms + backoff.throttle_ms(times, now.roll, asked_ms)
    if not now.elsewhere:
        return Retry(due_ms, signal, counted=False, budgeted=False)
    return Retry(now.ms, signal, counted=False, elsewhere=True, budgeted=False, barred_ms=due_ms)


def _in_time(retry: Retry, end: CallEnd, tried: Tried, now: _Situation) -> Retry | Expire:
    """The retry as the budget and the deadline allow it; what would come too late is not waited for."""
    soonest_ms = now.ms + (now.credit_ms if retry.budgeted else 0)
    due_ms = max(retry.due_ms, soonest_ms)
    if due_ms + now.service_ms > tried.deadline_ms and now.elsewhere:
        due_ms = soonest_ms
    if due_ms + now.service_ms > tried.deadline_ms:
        message = f"no time is left for another call; the last ended with {_what(end)}"
        return Expire(message, pass_on=end.answered)
    return msgspec.structs.replace(retry, due_ms=due_ms)


def _unrepeated(end: CallEnd, wish: Ambiguous) -> Fail | DeadLetter:
    """A call that may have run, of a request that must not run twice."""
    message = f"the call may have run, and is not repeated; it ended with {_what(end)}"
    if wish is Ambiguous.FAIL:
        return Fail(Code.AMBIGUOUS_CALL, message)
    return DeadLetter(Reason.AMBIGUOUS, Code.AMBIGUOUS_CALL, message)


def _give_up(end: CallEnd, tried: Tried) -> DeadLetter:
    return DeadLetter(
        Reason.ATTEMPTS_EXHAUSTED,
        _code(end),
        f"given up after {tried.attempt} upstream calls; the last ended with {_what(end)}",
        pass_on=end.answered,
    )


def _exhausted(retry: Retry, tried: Tried, policy: RetryPolicy) -> bool:
    if retry.counted:
        return tried.failures + 1 >= policy.attempts
    return tried.uncounted + 1 > policy.uncounted


def _is_throttled(signal: Signal) -> bool:
    return signal is Signal.THROTTLE or signal is Signal.QUOTA


def _code(end: CallEnd) -> Code:
    match end.broken:
        case Break.NOT_SENT:
            return Code.UPSTREAM_UNREACHABLE
        case Break.FIRST_BYTE_TIMEOUT | Break.STALL | Break.TOTAL_TIMEOUT:
            return Code.UPSTREAM_TIMEOUT
        case Break.STREAM_BROKEN:
            return Code.UPSTREAM_STREAM_BROKEN
    return Code.ATTEMPTS_EXHAUSTED


def _what(end: CallEnd) -> str:
    if end.broken is not None:
        return end.broken.value
    return f"status {end.status} {code_of(end)}".rstrip()
