"""What runs where on this machine, and the configuration that says so; pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

LOOPBACK = "127.0.0.1"
DEFAULT_PORTS = {"kafka": 9092, "ingress": 8080, "ingress-metrics": 9090, "mock": 8091}
LOCAL_MODEL = "gemma3-270m"

Tree = dict[str, object]


@dataclass(frozen=True)
class Layout:
    """The ports of one stack, where its Kafka is, and the folder of its index."""

    bootstrap: str
    index: str
    ingress: int
    ingress_metrics: int
    mock: int
    dispatchers: tuple[int, ...]
    governors: tuple[int, ...]
    model: int | None = None

    @property
    def ingress_url(self) -> str:
        """The OpenAI-compatible API without `/v1`."""
        return f"http://{LOOPBACK}:{self.ingress}"

    @property
    def mock_url(self) -> str:
        """The scripted upstream without `/v1`."""
        return f"http://{LOOPBACK}:{self.mock}"


def names_of_ports(dispatchers: int, governors: int, *, local_model: bool) -> list[str]:
    """What needs a port besides Kafka."""
    names = ["ingress", "ingress-metrics", "mock"]
    names += [f"governor-{number}" for number in range(1, governors + 1)]
    names += [f"dispatcher-{number}" for number in range(1, dispatchers + 1)]
    return [*names, "model"] if local_model else names


def layout_of(bootstrap: str, index: str, ports: Mapping[str, int]) -> Layout:
    """Ports by name, as `names_of_ports` lists them."""
    return Layout(
        bootstrap=bootstrap,
        index=index,
        ingress=ports["ingress"],
        ingress_metrics=ports["ingress-metrics"],
        mock=ports["mock"],
        dispatchers=_ports_of("dispatcher", ports),
        governors=_ports_of("governor", ports),
        model=ports.get("model"),
    )


def _ports_of(role: str, ports: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(port for name, port in ports.items() if name.startswith(f"{role}-"))


def configuration(layout: Layout, overlay: Mapping[str, object]) -> Tree:
    """The whole configuration of a stack; `overlay` is laid over it, mappings by key."""
    deployments = [
        _deployment("mock", "small", f"{layout.mock_url}/v1", upstream_model="mock"),
        _deployment("mock-flaky", "flaky", f"{layout.mock_url}/v1", upstream_model="mock-flaky"),
    ]
    if layout.model is not None:
        url = f"http://{LOOPBACK}:{layout.model}/v1"
        deployments.append(_deployment("local-model", LOCAL_MODEL, url, concurrency=4))
    tree: Tree = {
        "kafka": {
            "bootstrap_servers": [layout.bootstrap],
            "replication_factor": 1,
            "min_insync_replicas": 1,
            # Enough for a few dispatchers; the defaults are for installations.
            "partitions": {
                "requests": 12,
                "delay": 2,
                "replies": 8,
                "control": 2,
                "dead_letters": 2,
                "events": 4,
            },
        },
        "ingress": {
            "listen": f"{LOOPBACK}:{layout.ingress}",
            "metrics_listen": f"{LOOPBACK}:{layout.ingress_metrics}",
            "drain_s": 10,
            "index_dir": layout.index,
        },
        "dispatcher": {"drain_s": 30},
        "deployments": deployments,
        "auth": {"mode": "open"},
    }
    return merged(tree, overlay)


def merged(under: Mapping[str, object], over: Mapping[str, object]) -> Tree:
    """`over` wins; where both have a mapping, key by key."""
    tree: Tree = dict(under)
    for key, value in over.items():
        below = tree.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            tree[key] = merged(below, value)
        else:
            tree[key] = value
    return tree


def overrides(layout: Layout, *, own_kafka: bool) -> dict[str, str]:
    """Environment that moves a configuration of the user's own onto this stack."""
    environ = {
        "HEADRACE__KAFKA__BOOTSTRAP_SERVERS": json.dumps([layout.bootstrap]),
        "HEADRACE__INGRESS__LISTEN": f"{LOOPBACK}:{layout.ingress}",
        "HEADRACE__INGRESS__METRICS_LISTEN": f"{LOOPBACK}:{layout.ingress_metrics}",
        "HEADRACE__INGRESS__INDEX_DIR": layout.index,
    }
    if own_kafka:  # one broker, without passwords
        environ["HEADRACE__KAFKA__REPLICATION_FACTOR"] = "1"
        environ["HEADRACE__KAFKA__MIN_INSYNC_REPLICAS"] = "1"
        environ["HEADRACE__KAFKA__SECURITY"] = "{protocol: PLAINTEXT}"
    return environ


def api_line(ingress_url: str, *, with_key: bool) -> str:
    """What an OpenAI client is told; `with_key` where requests need a key."""
    key = "a tenant's key" if with_key else "any key"
    return f"{ingress_url}/v1   (base_url of the OpenAI client; {key})"


def curl_line(url: str, model: str, *, with_key: bool) -> str:
    """A request that works when it is pasted into a shell."""
    key = " -H 'authorization: Bearer YOUR_KEY'" if with_key else ""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hello"}]})
    path = f"{url}/v1/chat/completions"
    return f"curl {path}{key} -H 'content-type: application/json' -d '{body}'"


def _deployment(
    name: str, model: str, base_url: str, *, upstream_model: str | None = None, concurrency: int = 8
) -> Tree:
    upstream: Tree = {"base_url": base_url}
    if upstream_model is not None:
        upstream["model"] = upstream_model
    limits = {"process_concurrency": concurrency}
    return {"name": name, "model": model, "upstream": upstream, "limits": limits}
