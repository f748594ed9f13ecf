"""The decision before a call."""

from typing import Final

from headrace.dispatcher.verdicts import Before, Cancel, Defer, Dispatch, Drop, Expire, Fail
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.errors import Code
from headrace.schemas.names import DeploymentName

LEAST_RETRY_MS: Final = 1_000
"""Nobody is told to ask again sooner."""


def decide(
    waiting: Waiting,
    *,
    now_ms: int,
    cancelled: bool,
    deployment: DeploymentName | None,
    slow_ms: int = 0,
    until_ms: int = 0,
) -> Before:
    """What to do with a request whose turn it is; `deployment` is one with a free seat, if any.

    `slow_ms`: nine of ten calls of its model end within it. `until_ms`: until then no deployment takes it.
    """
    if not waiting.ours:
        return Drop()
    if cancelled:
        return Cancel()
    if waiting.deadline_ms <= now_ms:
        return Expire()
    if deployment is None:
        return _later(waiting, until_ms, now_ms)
    if _too_late(waiting, now_ms, slow_ms):
        return Expire("when its turn came, too little time was left for a call")
    return Dispatch(deployment)


def _later(waiting: Waiting, until_ms: int, now_ms: int) -> Defer | Fail:
    if until_ms < waiting.deadline_ms:
        return Defer(until_ms)
    why = f"no deployment of {waiting.model} is called before the deadline: too many calls failed"
    return Fail(Code.UPSTREAM_UNAVAILABLE, why, max(LEAST_RETRY_MS, until_ms - now_ms))


def _too_late(waiting: Waiting, now_ms: int, slow_ms: int) -> bool:
    """Whether a call would hardly end in time, of a request that has waited for most of its time.

    In an overload those whose turn comes have waited almost to their deadline: calls that end too
    late would take all there is, and nobody would be answered. Whoever came with little time tries.
    """
    left_ms = waiting.deadline_ms - now_ms
    waited_ms = now_ms - max(waiting.source.timestamp_ms, waiting.record.not_before_ms)
    return left_ms < slow_ms and left_ms < waited_ms
