"""What the log tells of a request that does not go smoothly: failed attempts, and ends that are no success.

A request that is answered at its first call leaves no line: one line a request is a cost. In an outage each
deployment gets a bounded number of lines a second, and the next one says how many were left out; metrics
and `events` count all.
"""

from headrace.dispatcher.outcome import Ending
from headrace.dispatcher.ports import Clock
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.names import DeploymentName, Outcome
from headrace.schemas.records import Attempt
from headrace.telemetry.flood import Allowance
from headrace.telemetry.logs import Log
from headrace.telemetry.traces import traced


class Story:
    """Writes the lines of one process. No prompts, no answers."""

    def __init__(self, log: Log, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._attempts: dict[DeploymentName, Allowance] = {}
        self._ends: dict[DeploymentName, Allowance] = {}

    def failed(self, waiting: Waiting, attempt: Attempt, *, call_ms: int, wait_ms: int) -> None:
        """A call failed, and is made again in `wait_ms` or later."""
        left_out = self._may(self._attempts, attempt.deployment)
        if left_out is not None:
            self._log.info(
                "attempt_failed",
                **_of(waiting, left_out),
                deployment=attempt.deployment,
                attempt=attempt.number,
                status=attempt.status,
                code=attempt.code,
                dur_ms=call_ms,
                wait_ms=wait_ms,
            )

    def ended(self, waiting: Waiting, ending: Ending, *, call_ms: int) -> None:
        """A request reached its end. Dead letters have a line of their own."""
        smooth = ending.outcome is Outcome.COMPLETED and not waiting.history
        if smooth or ending.outcome is Outcome.DEAD_LETTERED:
            return
        left_out = self._may(self._ends, ending.upstream)
        if left_out is not None:
            self._log.info(
                "request_ended",
                **_of(waiting, left_out),
                deployment=ending.upstream,
                attempt=waiting.attempt,
                outcome=ending.outcome.value,
                status=ending.status,
                code=ending.code,
                dur_ms=call_ms,
            )

    def _may(self, kind: dict[DeploymentName, Allowance], deployment: DeploymentName) -> int | None:
        allowance = kind.get(deployment)
        if allowance is None:
            allowance = kind[deployment] = Allowance()
        return allowance.take(self._clock.monotonic())


def _of(waiting: Waiting, left_out: int) -> dict[str, str | int]:
    """Whose line it is; what there is nothing to say of is left away."""
    fields: dict[str, str | int] = {
        "request_id": waiting.id,
        "tenant": waiting.record.tenant,
        "lane": waiting.lane,
        "model": waiting.model,
        **traced(waiting.record.traceparent),
    }
    if left_out:
        fields["left_out"] = left_out
    return fields
