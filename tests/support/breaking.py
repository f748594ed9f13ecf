"""What the topic `breakers` of an installation tells."""

from headrace.schemas.breaker_log import BreakerLog
from headrace.schemas.breakers import Row, State, Transition
from headrace.schemas.names import DeploymentName
from support.installation import Installation


async def breaker_log(running: Installation) -> BreakerLog:
    """The topic as it stands."""
    log = BreakerLog()
    for record in await running.dump(running.topics.breakers):
        log.take(record.key, record.value)
    return log


async def row(running: Installation, deployment: str) -> Row | None:
    """A deployment's row."""
    return (await breaker_log(running)).rows.get(DeploymentName(deployment))


async def state(running: Installation, deployment: str) -> State | None:
    """The state of a deployment's breaker; None while its owner has said nothing."""
    known = await row(running, deployment)
    return known.state if known is not None else None


async def history(running: Installation, deployment: str) -> list[Transition]:
    """How it came to that, the oldest transition first."""
    return (await breaker_log(running)).history(DeploymentName(deployment))
