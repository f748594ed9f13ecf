"""Seats: calls in flight per deployment, bounded, and which deployment of a model is next. No I/O."""

from headrace.schemas.config.model import DeploymentConfig
from headrace.schemas.names import DeploymentName, ModelName


class Seats:
    """Occupied seats of this process."""

    def __init__(self, deployments: list[DeploymentConfig]) -> None:
        self._by_model: dict[ModelName, list[DeploymentConfig]] = {}
        for deployment in deployments:
            self._by_model.setdefault(deployment.model, []).append(deployment)
        self._most = {d.name: d.limits.process_concurrency for d in deployments}
        self.closed: frozenset[DeploymentName] = frozenset()
        """Deployments that get no calls."""
        self.in_use: dict[DeploymentName, int] = {d.name: 0 for d in deployments}

    def serves(self, model: ModelName) -> bool:
        """Whether any deployment has this name."""
        return model in self._by_model

    def elsewhere(self, model: ModelName, tried: frozenset[DeploymentName]) -> bool:
        """Whether `model` has a deployment that is not among `tried`."""
        return any(deployment.name not in tried for deployment in self._by_model[model])

    def free(
        self, model: ModelName, avoid: frozenset[DeploymentName] = frozenset()
    ) -> DeploymentName | None:
        """The least busy deployment of `model` by weight that has a free seat and is not in `avoid`."""
        best: DeploymentName | None = None
        least = float("inf")
        for deployment in self._by_model.get(model, ()):
            if deployment.name in avoid or deployment.name in self.closed:
                continue
            used = self.in_use[deployment.name]
            load = used / deployment.weight
            if used < deployment.limits.process_concurrency and load < least:
                best, least = deployment.name, load
        return best

    def again(
        self, model: ModelName, tried: frozenset[DeploymentName], barred: frozenset[DeploymentName]
    ) -> DeploymentName | None:
        """A seat for a repeat: not where it is `barred`, and where it was `tried` only if need be."""
        return self.free(model, tried | barred) or self.free(model, barred)

    def of(self, model: ModelName) -> list[DeploymentConfig]:
        """The deployments of `model`."""
        return self._by_model.get(model, [])

    def room(self, deployment: DeploymentName, part: float = 1.0) -> int:
        """How many seats of a deployment are free to those who may use `part` of all; one is for all."""
        return max(1, int(self._most[deployment] * part)) - self.in_use[deployment]

    def take(self, deployment: DeploymentName) -> None:
        """Occupy a seat."""
        self.in_use[deployment] += 1

    def give_back(self, deployment: DeploymentName) -> None:
        """Free a seat."""
        self.in_use[deployment] -= 1
