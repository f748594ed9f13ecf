"""A retry runs under the number of the attempt before it."""

from typing import Any

from faults.mutants.patching import replace
from headrace.dispatcher.aftermath import Aftermath
from headrace.dispatcher.waiting import Waiting

ROLE = "dispatcher"


def apply() -> None:
    """The number is taken back just before it would be used."""
    retry = Aftermath._retry

    async def reusing(self: Aftermath, waiting: Waiting, *args: Any, **named: Any) -> None:
        waiting.attempt -= 1
        await retry(self, waiting, *args, **named)

    replace(Aftermath, _retry=reusing)
