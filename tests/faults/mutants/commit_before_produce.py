"""The journal and the commit are told of the end before Kafka has the answer."""

from typing import Any

from faults.mutants.patching import replace
from headrace.dispatcher.settle import Settlement
from headrace.dispatcher.waiting import Waiting

ROLE = "dispatcher"


def apply() -> None:
    """`answer` begins with what must be its last step."""
    answer = Settlement.answer

    async def hasty(self: Settlement, waiting: Waiting, ending: Any, **named: Any) -> None:
        self._done(waiting, ending.outcome.value)
        await answer(self, waiting, ending, **named)

    replace(Settlement, answer=hasty)
