"""What waits for its time is run as soon as somebody looks."""

from faults.mutants.patching import replace
from headrace.dispatcher.delays import Timers
from headrace.dispatcher.waiting import Waiting

ROLE = "dispatcher"


def apply() -> None:
    """Every wait is over at once."""
    push = Timers.push

    def eager(self: Timers, _at_ms: int, waiting: Waiting) -> None:
        waiting.due_ms = 0
        push(self, 0, waiting)

    replace(Timers, push=eager)
