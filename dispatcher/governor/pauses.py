"""Which pause of an operator keeps a request from being started."""

from collections.abc import Iterable, Mapping

from headrace.schemas.names import DeploymentName, LaneName, Tenant
from headrace.schemas.settings import Pause, Scope, Verb

Pauses = Mapping[tuple[Scope, str], Pause]
"""By what is paused."""


def pauses_of(pauses: Iterable[Pause]) -> Pauses:
    """Arranged for look-ups."""
    return {(one.scope, one.name): one for one in pauses}


def in_effect(
    pauses: Pauses, lane: LaneName, tenant: Tenant, deployment: DeploymentName | None, now_ms: int
) -> Pause | None:
    """What keeps such a request from being started; of several a `pause` before a `drain`.

    Without a `deployment`: wherever it would be sent.
    """
    if not pauses:
        return None
    places = [(Scope.LANE, str(lane)), (Scope.TENANT, str(tenant))]
    if deployment is not None:
        places.append((Scope.DEPLOYMENT, deployment))
    found = [pauses[at] for at in places if at in pauses and pauses[at].holds(now_ms)]
    return min(found, key=lambda one: one.verb is not Verb.PAUSE, default=None)
