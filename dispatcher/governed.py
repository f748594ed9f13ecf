"""Which deployments are called with credits of the governor only, and what fits their limits. No I/O."""

from collections.abc import Iterator

from headrace.dispatcher.governor.configured import ROUNDING, tree_of
from headrace.dispatcher.governor.tree import Caps, Scope
from headrace.schemas.bounds import Cost, most_answer
from headrace.schemas.config.model import Config
from headrace.schemas.limits import Flow, Units
from headrace.schemas.names import NO_KEY, DeploymentName, KeyName, ModelName, Tenant


class Governed:
    """The limits of one configuration that hold for all dispatchers together."""

    def __init__(self, config: Config) -> None:
        self.set(config)

    def set(self, config: Config) -> None:
        """The limits are these from now on; the same deployments have some."""
        scopes = tree_of(config).scopes
        shares = [scope for scope in scopes if scope.tenants is not None]
        self._common = {
            one.name: [s for s in scopes if s.tenants is None and _at(s, one.name)]
            for one in config.deployments
        }
        self._tenants = {name: s for s in shares if s.keys is None for name in s.tenants or ()}
        self._keys = {
            (tenant, key): s for s in shares for tenant in s.tenants or () for key in s.keys or ()
        }
        governed = [one for one in config.deployments if shares or self._common[one.name]]
        self.deployments: frozenset[DeploymentName] = frozenset(one.name for one in governed)
        self.models: frozenset[ModelName] = frozenset(one.model for one in governed)
        self.counting: frozenset[ModelName] = frozenset(
            one.model
            for one in governed
            if any(map(_counts_tokens, (*self._common[one.name], *shares)))
        )
        """Models of which tokens are limited somewhere."""
        self._seats = any(scope.caps.seats is not None for scope in scopes)
        self._lanes = {name: lane.reserve for name, lane in config.lanes.items()}
        self._reserving = {name: one.reserve for name, one in config.tenants.items()}
        self._reserved = sum(self._lanes.values()) + sum(self._reserving.values())

    def key(self, tenant: Tenant, name: KeyName) -> KeyName:
        """The key that a request's limits are told apart by; none where it has no limits."""
        return name if name and (tenant, name) in self._keys else NO_KEY

    def seated(self, flow: Flow) -> bool:
        """Whether calls of `flow` are limited in their number at a time."""
        return self._seats and any(caps.seats is not None for caps in self._caps(flow))

    def bounds_tokens(self, flow: Flow) -> bool:
        """Whether tokens of `flow` are limited, and not only tried out."""
        return any(map(_has_tokens, self._caps(flow)))

    def part(self, flow: Flow) -> float:
        """The part of a limit that others have not reserved for themselves."""
        own = self._lanes[flow.lane] + self._reserving.get(flow.tenant, 0.0)
        return 1 - self._reserved + own + ROUNDING

    def fitted(self, flow: Flow, cost: Cost | None) -> Units | None:
        """What is to be asked for a request of `flow`; None: it is larger than a limit.

        Without a `cost` no tokens are counted.
        """
        if cost is None:
            return Units(1)
        output = cost.output
        for caps in self._caps(flow):
            most = most_answer(cost.input, caps.input_tokens, caps.output_tokens, caps.total_tokens)
            if most is None:
                continue
            if most < 0 or (cost.firm and output > most):
                return None
            output = min(output, most)
        return Units(1, cost.input, output)

    def _caps(self, flow: Flow) -> Iterator[Caps]:
        for scope in self._common[flow.deployment]:
            if scope.holds(flow) and not scope.shadow:
                yield scope.caps
        shares = [self._tenants.get(flow.tenant)]
        if flow.key:
            shares.append(self._keys.get((flow.tenant, flow.key)))
        for share in shares:
            if share is not None and not share.shadow:
                yield share.caps


def _at(scope: Scope, deployment: DeploymentName) -> bool:
    return scope.deployments is None or deployment in scope.deployments


def _counts_tokens(scope: Scope) -> bool:
    return _has_tokens(scope.caps)


def _has_tokens(caps: Caps) -> bool:
    return any(
        cap is not None for cap in (caps.input_tokens, caps.output_tokens, caps.total_tokens)
    )
