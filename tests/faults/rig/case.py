"""A case: one fault of docs/guarantees.md, what runs, what is done, what must hold."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from faults.history.violation import Promise
from faults.rig.fleet import Shape
from faults.rig.play import Play

Script = Callable[[Play], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Case:
    """`id` is its number in the list of faults."""

    id: str
    what: str
    holds: str
    """Promises and bars, as the table shows them."""
    script: Script
    shape: Shape = field(default_factory=Shape)
    brokers: int = 1
    spoils: bool = False
    """The brokers are not fit for another case."""
    unchecked: frozenset[Promise] = frozenset()
    """Promises that the checker cannot judge here, because the fault takes its evidence away."""
    seats_checked: bool = True
    smoke: bool = False
    limit_s: float = 240.0


CASES: dict[str, Case] = {}


def case(
    id: str,  # noqa: A002  the field's name
    what: str,
    holds: str,
    *,
    shape: Shape | None = None,
    brokers: int = 1,
    spoils: bool = False,
    unchecked: frozenset[Promise] = frozenset(),
    seats_checked: bool = True,
    smoke: bool = False,
    limit_s: float = 240.0,
) -> Callable[[Script], Script]:
    """Register the function below it."""

    def register(script: Script) -> Script:
        CASES[id] = Case(
            id=id,
            what=what,
            holds=holds,
            script=script,
            shape=shape or Shape(),
            brokers=brokers,
            spoils=spoils,
            unchecked=unchecked,
            seats_checked=seats_checked,
            smoke=smoke,
            limit_s=limit_s,
        )
        return script

    return register
