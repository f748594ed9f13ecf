"""Which call fails: a pure function of seed, script, request identity and attempt number."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from headrace.cli.mock.script import Fault, Script, failing_steps

SEEDED_5XX = (500, 502, 503, 504)
SEEDED_4XX = (400, 403, 404, 422)


class Cause(StrEnum):
    """Why a call was made to fail, as the log says it."""

    NONE = ""
    SCRIPTED = "scripted"
    SEEDED = "seeded"
    LIMIT = "limit"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Failure:
    """An error status, or a fault (of an answer that would be `status`), and who wanted it."""

    cause: Cause
    status: int = 200
    fault: Fault = Fault.NONE


def decide_failure(script: Script, seed: int, digest: bytes, attempt: int) -> Failure | None:
    """The failure of the `attempt`-th call (from 1) with this digest, or None.

    First `fail`, call by call; then `fault` and `status`; else the seeded rates. A script that
    says anything of this by name is not subject to the rates.
    """
    named = _named(script, attempt)
    if named is not None:
        return named
    if script.fail != "none":
        return None
    return _seeded(script, seed, digest, attempt)


def roll(seed: int, digest: bytes, attempt: int, purpose: str) -> float:
    """A number in [0, 1), the same for the same arguments on every machine."""
    text = f"{seed}:{attempt}:{purpose}:".encode() + digest
    return int.from_bytes(hashlib.blake2b(text, digest_size=6).digest()) / 2**48


def _named(script: Script, attempt: int) -> Failure | None:
    left = attempt
    for times, what in failing_steps(script.fail):
        if left <= times:
            return _step(what, script)
        left -= times
    if script.fault is not Fault.NONE:
        return Failure(Cause.SCRIPTED, script.status, script.fault)
    if script.status != 200:
        return Failure(Cause.SCRIPTED, script.status)
    return None


def _step(what: int | Fault, script: Script) -> Failure | None:
    """One step of `fail`; `1x200` and `1xnone` let a call pass."""
    if isinstance(what, Fault):
        if what is Fault.NONE:
            return None
        return Failure(Cause.SCRIPTED, script.status, what)
    return None if what == 200 else Failure(Cause.SCRIPTED, what)


def _seeded(script: Script, seed: int, digest: bytes, attempt: int) -> Failure | None:
    """Only the first `max_failures` attempts may fail: so at most that many do, at no cost."""
    total = script.rate_5xx + script.rate_429 + script.rate_4xx
    if not total or (script.max_failures is not None and attempt > script.max_failures):
        return None
    drawn = roll(seed, digest, attempt, "fail")
    if drawn < script.rate_429:
        return Failure(Cause.SEEDED, 429)
    if drawn < script.rate_429 + script.rate_5xx:
        return Failure(Cause.SEEDED, _pick(SEEDED_5XX, seed, digest, attempt))
    if drawn < total:
        return Failure(Cause.SEEDED, _pick(SEEDED_4XX, seed, digest, attempt))
    return None


def _pick(statuses: tuple[int, ...], seed: int, digest: bytes, attempt: int) -> int:
    return statuses[int(roll(seed, digest, attempt, "status") * len(statuses))]
