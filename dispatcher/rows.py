"""The rows that a request with a kind gets on `status`: values made of what is known here. No I/O."""

from headrace.dispatcher.intake import Unreadable
from headrace.dispatcher.outcome import Ending, queue_ms
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.names import DeploymentName, Tenant
from headrace.schemas.status import Running, Terminal


def running(
    waiting: Waiting,
    deployment: DeploymentName,
    source: str,
    chunks: tuple[int, int] | None = None,
) -> Running:
    """Its attempt was begun by the process `source`, or has its first chunk at `chunks`."""
    return Running(
        tenant=waiting.record.tenant,
        id=waiting.id,
        attempt=waiting.attempt,
        deployment=deployment,
        source=source,
        chunks=chunks,
    )


def terminal(waiting: Waiting, ending: Ending, result: tuple[int, int, int] | None) -> Terminal:
    """It ended; `result` is where its answer stands on `results`."""
    return Terminal(
        tenant=waiting.record.tenant,
        id=waiting.id,
        outcome=ending.outcome,
        status=ending.status,
        code=ending.code,
        attempt=waiting.attempt,
        attempts=calls(waiting),
        queue_ms=queue_ms(waiting),
        upstream=ending.upstream,
        result=result,
    )


def rejected(
    tenant: Tenant, refused: Unreadable, ending: Ending, result: tuple[int, int, int] | None
) -> Terminal:
    """It could not be read, or never again; without an answer of an upstream."""
    return Terminal(
        tenant=tenant,
        id=refused.id,
        attempts=refused.lost,
        outcome=ending.outcome,
        status=ending.status,
        code=ending.code,
        result=result,
    )


def calls(waiting: Waiting) -> int:
    """Upstream calls made for the request, this process's last one included."""
    return waiting.attempt if waiting.first_call_ms else waiting.attempt - 1
