"""The traffic that a simulation is played with: from options, or from a YAML file.

```yaml
dispatchers: 4
minutes: 5
flows:
  - {deployment: openai-east, tenant: search, lane: interactive, per_minute: 300, sizes: [[800, 200]]}
```
"""

from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, ValidationError

from headrace.dispatcher.governor.simulator.story import Traffic
from headrace.dispatcher.governor.tree import Dimension, Tree
from headrace.schemas.config.model import Config
from headrace.schemas.config.section import Section
from headrace.schemas.limits import Flow
from headrace.schemas.names import DEFAULT_TENANT, DeploymentName, LaneName, Tenant

Tokens = Annotated[int, Field(ge=0, le=10_000_000)]


class FlowLoad(Section):
    """Requests of one tenant for one deployment."""

    deployment: DeploymentName
    tenant: Tenant = DEFAULT_TENANT
    lane: LaneName | None = None
    per_minute: Annotated[float, Field(gt=0, le=1_000_000)]
    sizes: Annotated[list[tuple[Tokens, Tokens]], Field(min_length=1)] = Field(
        default_factory=lambda: [(500, 500)]
    )
    """Input and output tokens, one pair as likely as another."""


class Load(Section):
    """All traffic of a simulation."""

    dispatchers: Annotated[int, Field(ge=1, le=64)] = 4
    minutes: Annotated[float, Field(gt=0, le=120)] = 5
    flows: Annotated[list[FlowLoad], Field(min_length=1)]


class TrafficError(Exception):
    """The traffic cannot be played; the text says why."""


def read_load(file: Path) -> Load:
    """The traffic in a file. Raises `TrafficError`."""
    try:
        return Load.model_validate(yaml.safe_load(file.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
        raise TrafficError(f"{file}: {error}") from None


def multiple(config: Config, tree: Tree, load: float, size: tuple[int, int]) -> list[FlowLoad]:
    """Each deployment asked for `load` times what it may be sent, by all tenants alike."""
    tenants = list(config.tenants) or [DEFAULT_TENANT]
    flows: list[FlowLoad] = []
    for deployment in config.deployments:
        flow = Flow(deployment.name, config.lane_by_default, tenants[0])
        most = _per_minute(tree, flow, size)
        if most is None:
            continue
        flows += [
            FlowLoad(
                deployment=deployment.name,
                tenant=tenant,
                per_minute=load * most / len(tenants),
                sizes=[size],
            )
            for tenant in tenants
        ]
    if not flows:
        raise TrafficError("no deployment has a limit for a minute: there is nothing to simulate")
    return flows


def checked(config: Config, flows: list[FlowLoad]) -> tuple[Traffic, ...]:
    """The flows as the simulator plays them. Raises `TrafficError` for names that do not exist."""
    names = {deployment.name for deployment in config.deployments}
    traffic: list[Traffic] = []
    for flow in flows:
        lane = flow.lane or config.lane_by_default
        if flow.deployment not in names:
            raise TrafficError(f"no deployment is called {flow.deployment}")
        if lane not in config.lanes:
            raise TrafficError(f"no lane is called {lane}")
        key = Flow(flow.deployment, lane, flow.tenant)
        traffic.append(Traffic(key, flow.per_minute / 60, tuple(flow.sizes)))
    return tuple(traffic)


def _per_minute(tree: Tree, flow: Flow, size: tuple[int, int]) -> float | None:
    """Requests of that size that fit the upstream's own limits."""
    amounts = {
        Dimension.REQUESTS: 1,
        Dimension.INPUT_TOKENS: size[0],
        Dimension.OUTPUT_TOKENS: size[1],
        Dimension.TOTAL_TOKENS: sum(size),
    }
    return min(
        (
            cap / amounts[dimension]
            for scope in tree.scopes
            if scope.common and scope.holds(flow)
            for dimension, cap in scope.caps.named()
            if amounts.get(dimension)
        ),
        default=None,
    )
