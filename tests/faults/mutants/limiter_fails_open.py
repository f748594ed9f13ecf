"""A deployment whose seats are all taken is free all the same."""

from typing import Any

import aiohttp

from faults.mutants.patching import replace
from headrace.dispatcher.seats import Seats
from headrace.schemas.names import DeploymentName, ModelName

ROLE = "dispatcher"


def apply() -> None:
    """The count is kept, and never asked; nor do connections run out, which is the second guard."""
    connector = aiohttp.TCPConnector

    def free(
        self: Seats, model: ModelName, avoid: frozenset[DeploymentName] = frozenset()
    ) -> DeploymentName | None:
        names = [one.name for one in self._by_model.get(model, ()) if one.name not in avoid]
        return names[0] if names else None

    def boundless(**options: Any) -> Any:
        return connector(**(options | {"limit": 0}))

    replace(Seats, free=free)
    replace(aiohttp, TCPConnector=boundless)
