"""What can be decided about a request. A verdict is a value; the loop acts on it.

Before a call: `Dispatch Defer Expire Cancel Drop Fail`.
After one: `Settle Retry DeadLetter Fail Expire`.
"""

from enum import StrEnum

import msgspec

from headrace.schemas.errors import Code
from headrace.schemas.names import DeploymentName, Outcome


class Dispatch(msgspec.Struct, frozen=True):
    """Call this deployment now."""

    deployment: DeploymentName


class Defer(msgspec.Struct, frozen=True):
    """No seat is free for it; it keeps its place. Never an attempt."""

    until_ms: int = 0
    """No deployment takes it before this time (epoch ms); 0: one may at any moment."""


class Settle(msgspec.Struct, frozen=True):
    """The upstream's answer, whatever its status, is the request's answer."""

    outcome: Outcome = Outcome.COMPLETED
    """FAILED for an error of the upstream that no repetition mends."""


class Retry(msgspec.Struct, frozen=True):
    """Call again, not before `due_ms` (epoch ms, broker's clock)."""

    due_ms: int
    reason: str
    counted: bool
    """Whether the attempt that just ended uses up the allowance; a throttled one does not."""
    elsewhere: bool = False
    """Prefer a deployment that this request has not been sent to."""
    barred_ms: int = 0
    """With `elsewhere`: until then not to the deployment that was just called."""
    budgeted: bool = True
    """Whether it takes a credit of the retry budget; what a throttling upstream asked for does not."""


class Reason(StrEnum):
    """Why a record became a dead letter."""

    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    UNPROCESSABLE = "unprocessable"
    REJECTED_RECORD = "rejected_record"
    REPLY_UNDELIVERABLE = "reply_undeliverable"
    AMBIGUOUS = "ambiguous"
    CRASHED_WORKER = "crashed_worker"
    IDEMPOTENCY_MISMATCH = "idempotency_mismatch"


class DeadLetter(msgspec.Struct, frozen=True):
    """It cannot succeed: keep it with its history, and tell its owner."""

    reason: Reason
    code: Code
    message: str
    pass_on: bool = False
    """The owner gets the upstream's last answer, status and body unchanged, not `code`."""


class Fail(msgspec.Struct, frozen=True):
    """An explicit error of ours is the answer (a broken stream, a time-out that may not be repeated)."""

    code: Code
    message: str
    retry_ms: int = 0
    """How long whoever asked should wait before it asks again; 0: none is told."""


class Expire(msgspec.Struct, frozen=True):
    """Its deadline has passed, or would before an answer could come. An explicit answer."""

    message: str = "the deadline passed before an answer came"
    pass_on: bool = False
    """The owner gets the upstream's last answer, status and body unchanged: it says more."""


class Cancel(msgspec.Struct, frozen=True):
    """Its owner took it back."""


class Drop(msgspec.Struct, frozen=True):
    """Not begun here: whoever owns its partition now reads it again."""


Before = Dispatch | Defer | Expire | Cancel | Drop | Fail
After = Settle | Retry | DeadLetter | Fail | Expire
