"""The decision before a call."""

from headrace.dispatcher.verdicts import Before, Cancel, Defer, Dispatch, Drop, Expire
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.names import DeploymentName


def decide(
    waiting: Waiting, *, now_ms: int, cancelled: bool, deployment: DeploymentName | None
) -> Before:
    """What to do with a request whose turn it is; `deployment` is one with a free seat, if any."""
    if not waiting.ours:
        return Drop("the partition went to another dispatcher, which reads it again")
    if cancelled:
        return Cancel()
    if waiting.deadline_ms <= now_ms:
        return Expire()
    if deployment is None:
        return Defer()
    return Dispatch(deployment)
