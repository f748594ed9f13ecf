"""Which limits a request must fit: its pool, its deployment, its tenant's share, its key's.

A *scope* is a set of flows that share limits. Scopes of one upstream account lie in one another like
a tree (pool, deployment, tenant, key); a request is charged to each that it lies in, and must fit all of
them. A reserve of a lane or tenant is a scope as well: what all *others* may use together.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from headrace.dispatcher.governor.learning.seats import SeatsPolicy
from headrace.schemas.limits import Flow, Units


class Dimension(StrEnum):
    """What a limit counts. All but seats count what happened in the last window."""

    REQUESTS = "requests"
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"
    TOTAL_TOKENS = "total_tokens"
    SEATS = "seats"


@dataclass(frozen=True, slots=True)
class Caps:
    """The limits of one scope; None: there is none."""

    requests: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    seats: int | None = None

    def __post_init__(self) -> None:
        """Refuse a limit under which nothing could ever be sent."""
        for dimension, cap in self.named():
            if cap < 1:
                raise ValueError(f"a limit of {cap} {dimension} lets nothing through")

    def named(self) -> Iterator[tuple[Dimension, int]]:
        """Those that are set."""
        for dimension in Dimension:
            cap: int | None = getattr(self, dimension)
            if cap is not None:
                yield dimension, cap

    def share(self, units: Units) -> float:
        """The largest part of a window's limit that `units` take; 0 where nothing is limited."""
        amounts = (*units, units.input + units.output)
        caps = (self.requests, self.input_tokens, self.output_tokens, self.total_tokens)
        return max(
            (amount / cap for amount, cap in zip(amounts, caps, strict=True) if cap is not None),
            default=0.0,
        )


@dataclass(frozen=True, slots=True)
class Scope:
    """Flows that share `caps`; of each kind of name None means all."""

    name: str
    caps: Caps
    window_ms: int = 60_000
    deployments: frozenset[str] | None = None
    lanes: frozenset[str] | None = None
    tenants: frozenset[str] | None = None
    keys: frozenset[str] | None = None
    """API keys of its tenants."""
    but_tenants: frozenset[str] = frozenset()
    """Those that are not meant, where all others are."""
    part_of: str = ""
    """Of what is left where others have a reserve: the name of the scope that it is reserved of."""
    shadow: bool = False
    """What it would refuse is counted and not refused."""
    adaptive: SeatsPolicy | None = None
    """How many of its seats there really are is learned from latency; None: as many as `caps` says."""

    def __post_init__(self) -> None:
        """Refuse a window in which nothing could happen."""
        if self.window_ms <= 0:
            raise ValueError("a window is longer than nothing")

    def holds(self, flow: Flow) -> bool:
        """Whether requests of `flow` are charged here."""
        return (
            (self.deployments is None or flow.deployment in self.deployments)
            and (self.lanes is None or flow.lane in self.lanes)
            and (self.tenants is None or flow.tenant in self.tenants)
            and (self.keys is None or flow.key in self.keys)
            and flow.tenant not in self.but_tenants
        )

    @property
    def common(self) -> bool:
        """Whether it is the upstream's own, and not a share of some."""
        return self.lanes is None and self.tenants is None and not self.but_tenants


@dataclass(frozen=True, slots=True)
class Tree:
    """All scopes of one partition, outermost first."""

    scopes: tuple[Scope, ...]

    def __post_init__(self) -> None:
        """Refuse two scopes that could not be told apart."""
        names = [scope.name for scope in self.scopes]
        if len(names) != len(set(names)):
            raise ValueError("two scopes have one name")

    @property
    def window_ms(self) -> int:
        """The longest window."""
        return max((scope.window_ms for scope in self.scopes), default=0)
