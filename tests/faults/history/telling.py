"""What tests of the checks share."""

from collections.abc import Iterable

from faults.history.made import Made
from faults.history.violation import Violation


def whole() -> Made:
    """A request that went well, from its client to the commit."""
    return Made().ask().called().final().told().committed(1)


def told(found: Iterable[Violation]) -> str:
    """All that a check found, as text."""
    return "\n".join(map(str, found))
