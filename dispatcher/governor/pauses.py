"""Pauses by operators: nothing of a lane, tenant or deployment is started until a time, or until resumed.

`pause` also takes back credits that are in hand; `drain` lets them be spent, and what runs end. Of two
commands on the same thing the later one counts.
"""

from enum import StrEnum
from typing import Final

import msgspec

from headrace.schemas.names import DeploymentName, LaneName, Tenant

MOST: Final = 10_000
"""Pauses in effect at once; beyond it the one that ends first makes room."""
NEVER_MS: Final = 2**53 - 1


class Verb(StrEnum):
    """What is commanded."""

    PAUSE = "pause"
    DRAIN = "drain"
    RESUME = "resume"


class Scope(StrEnum):
    """What it is commanded of."""

    LANE = "lane"
    TENANT = "tenant"
    DEPLOYMENT = "deployment"


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One command. Times are epoch ms."""

    verb: Verb
    scope: Scope
    name: str
    reason: str
    by: str
    at_ms: int
    until_ms: int = NEVER_MS


Pauses = dict[tuple[Scope, str], Command]
"""The pauses in effect, and those that have ended since the last command."""


def fold(pauses: Pauses, command: Command) -> Pauses:
    """The pauses after the next command; those that had ended by its time are left out."""
    place = (command.scope, command.name)
    kept = {at: p for at, p in pauses.items() if p.until_ms > command.at_ms and at != place}
    if command.verb is Verb.RESUME or command.until_ms <= command.at_ms:
        return kept
    if len(kept) >= MOST:
        del kept[min(kept, key=lambda at: kept[at].until_ms)]
    return kept | {place: command}


def in_effect(
    pauses: Pauses, lane: LaneName, tenant: Tenant, deployment: DeploymentName, now_ms: int
) -> Command | None:
    """What keeps such a request from being started; of several a `pause` before a `drain`."""
    places = ((Scope.LANE, lane), (Scope.TENANT, tenant), (Scope.DEPLOYMENT, deployment))
    found = [pauses[at] for at in places if at in pauses and now_ms < pauses[at].until_ms]
    return min(found, key=lambda command: command.verb is not Verb.PAUSE, default=None)
