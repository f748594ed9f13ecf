"""How a request ended, as one value: the final that its outcome points to, or one made from its code."""

from headrace.ingress.index import ResultLost, Results, Row
from headrace.ingress.refusal import Refusal
from headrace.schemas.errors import CATALOGUE, Code, error_body
from headrace.schemas.names import DeploymentName, Outcome
from headrace.schemas.replies import Reply

_BY_OUTCOME = {
    Outcome.CANCELLED: (Code.CANCELLED, "The request was cancelled."),
    Outcome.EXPIRED: (Code.DEADLINE_EXCEEDED, "The deadline passed before there was an answer."),
    Outcome.DEAD_LETTERED: (Code.ATTEMPTS_EXHAUSTED, "The request was given up."),
}
"""What is told where nothing was written for the client."""


def made(row: Row) -> Reply:
    """The final of an outcome without a body, an error in the API's shape."""
    code, message = _told(row)
    return Reply(
        id=row.id,
        body=error_body(code, message),
        attempt=row.attempt,
        final=True,
        status=row.status or CATALOGUE[code].status,
        outcome=row.outcome,
        code=code.value,
        attempts=row.attempts,
        queue_ms=row.queue_ms,
        upstream=DeploymentName(row.upstream),
    )


def refusal(row: Row) -> Refusal:
    """The same for somebody who waits on the reply board."""
    code, message = _told(row)
    return Refusal(code, message)


async def final_of(row: Row, results: Results) -> Reply | Refusal:
    """The final of a row that has ended; a refusal where it cannot be read (any more, or now)."""
    if row.result is None:
        return made(row)
    try:
        return await results.fetch(row.id, *row.result)
    except ResultLost as error:
        return Refusal(Code.REPLY_LOST, str(error), retry_after_s=1)


def _told(row: Row) -> tuple[Code, str]:
    outcome = row.outcome or Outcome.FAILED
    try:
        code = Code(row.code)
    except ValueError:  # none told, or one of a newer version
        return _BY_OUTCOME.get(outcome, (Code.REPLY_LOST, "There is no answer to be read."))
    default = (code, CATALOGUE[code].what_to_do)
    known = _BY_OUTCOME.get(outcome, default)
    return known if known[0] is code else default
