"""The breakers of a configuration: the rules of each deployment."""

import math

from headrace.dispatcher.governor.breaker.policy import BreakerPolicy
from headrace.schemas.breakers import State
from headrace.schemas.config.breaker import BreakerConfig
from headrace.schemas.config.model import Config, DeploymentConfig
from headrace.schemas.names import DeploymentName

DEFAULTS = BreakerPolicy()
MODES = {
    "enforce": State.CLOSED,
    "metrics-only": State.METRICS_ONLY,
    "disabled": State.DISABLED,
}
"""The state in which a breaker is where nobody has set another."""


def policies_of(config: Config) -> dict[DeploymentName, BreakerPolicy]:
    """The rules for each deployment."""
    return {one.name: _policy(config.breaker, one) for one in config.deployments}


def _policy(settings: BreakerConfig, deployment: DeploymentConfig) -> BreakerPolicy:
    """A stream is given up after `first_byte_s`: what waits for so long need not be waited for longer."""
    stall_s = max(1, min(DEFAULTS.stall_s, math.ceil(deployment.timeouts.first_byte_s)))
    return BreakerPolicy(
        stall_s=stall_s,
        slow_ms=min(DEFAULTS.slow_ms, stall_s * 1000 * 5 // 6),
        failing_share=settings.failing_share,
        open_ms=_ms(settings.open_s),
        longest_open_ms=_ms(settings.longest_open_s),
        probes=settings.probes,
        probe_ms=max(_ms(settings.probe_s), 1),
        ramp_step_ms=_ms(settings.ramp_step_s),
    )


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))
