"""The processes of a stack besides Kafka: their command lines and limits; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from headrace.cli.up.layout import LOOPBACK, Layout

# The ingress answers those who wait (10 s in the written configuration), the dispatchers
# finish their calls (30 s); a little more than that before SIGKILL.
INGRESS_GRACE_S = 15.0
DISPATCHER_GRACE_S = 35.0
GOVERNOR_GRACE_S = 5.0
UPSTREAM_GRACE_S = 5.0


@dataclass(frozen=True)
class Service:
    """`headrace ARGUMENTS`, when it is ready, and how long its orderly end may take."""

    name: str
    arguments: tuple[str, ...]
    ready_url: str
    grace_s: float
    environ: Mapping[str, str] = field(default_factory=dict)


def upstreams(layout: Layout, mock_arguments: Sequence[str], mock_log: Path) -> list[Service]:
    """What answers instead of a provider: the mock, and the model if it has a port."""
    listen = ("--listen", f"{LOOPBACK}:{layout.mock}", "--log", str(mock_log))
    mock = ("mock", *listen, *mock_arguments)
    services = [Service("mock", mock, f"{layout.mock_url}/health", UPSTREAM_GRACE_S)]
    if layout.model is not None:
        model = ("model-server", "--port", str(layout.model))
        url = f"http://{LOOPBACK}:{layout.model}/health"
        services.append(Service("model", model, url, UPSTREAM_GRACE_S))
    return services


def ingress(layout: Layout, config: Path) -> Service:
    """The HTTP side."""
    command = ("ingress", "--config", str(config))
    return Service("ingress", command, f"{layout.ingress_url}/readyz", INGRESS_GRACE_S)


def dispatchers(layout: Layout, config: Path) -> list[Service]:
    """Numbered from 1; one configuration, but each its own port for metrics and readiness."""
    return [
        Service(
            f"dispatcher-{number}",
            ("dispatcher", "--config", str(config)),
            f"http://{LOOPBACK}:{port}/readyz",
            DISPATCHER_GRACE_S,
            {"HEADRACE__DISPATCHER__METRICS_LISTEN": f"{LOOPBACK}:{port}"},
        )
        for number, port in enumerate(layout.dispatchers, 1)
    ]


def governors(layout: Layout, config: Path) -> list[Service]:
    """As `dispatchers`."""
    return [
        Service(
            f"governor-{number}",
            ("governor", "--config", str(config)),
            f"http://{LOOPBACK}:{port}/readyz",
            GOVERNOR_GRACE_S,
            {"HEADRACE__GOVERNOR__METRICS_LISTEN": f"{LOOPBACK}:{port}"},
        )
        for number, port in enumerate(layout.governors, 1)
    ]
