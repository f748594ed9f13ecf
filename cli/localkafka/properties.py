"""The configuration of a single-node Apache Kafka in KRaft mode, as pure text."""

from collections.abc import Mapping
from dataclasses import dataclass

# The JVM runs in the data folder: a relative name survives every character in its path
# (a comma in `log.dirs` would otherwise make two folders of it).
LOG_FOLDER = "log"


@dataclass(frozen=True)
class Ports:
    """Three listeners on 127.0.0.1.

    `client` is for users and takes whatever security the caller asks for; `internal` is
    always plain, carries the broker's talk with itself and our health check.
    """

    client: int
    internal: int
    controller: int


def properties_text(ports: Ports, extra: Mapping[str, str]) -> str:
    """A `server.properties`; `extra` wins over what is set here."""
    merged = {**_listeners(ports), **_ONE_NODE, **_SMALL, **extra}
    return "".join(f"{name}={_escape(value)}\n" for name, value in merged.items())


def _escape(value: str) -> str:
    """java.util.Properties reads a backslash as an escape and ends a value at a line end."""
    return value.replace("\\", "\\\\").replace("\n", "\\n")


def _listeners(ports: Ports) -> dict[str, str]:
    # 127.0.0.1 and never `localhost`, which may be ::1 first, or be sent to a proxy.
    brokers = f"CLIENT://127.0.0.1:{ports.client},INTERNAL://127.0.0.1:{ports.internal}"
    controller = f"CONTROLLER://127.0.0.1:{ports.controller}"
    plain = ",".join(f"{name}:PLAINTEXT" for name in ("CLIENT", "INTERNAL", "CONTROLLER"))
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{ports.controller}",
        "listeners": f"{brokers},{controller}",
        "advertised.listeners": f"{brokers},{controller}",
        "listener.security.protocol.map": plain,
        "inter.broker.listener.name": "INTERNAL",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": LOG_FOLDER,
    }


# One node cannot replicate; topics are created by `headrace topics apply` only; an aborted
# producer must not hold readers of committed records longer than 10 s; and with the default
# session of 9 s a broker killed with -9 takes 13 s to come back, with 3 s it takes 4.4 s.
_ONE_NODE = {
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "auto.create.topics.enable": "false",
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "transaction.max.timeout.ms": "10000",
}

# The defaults are made for clusters: 50 partitions a piece and a cleaner with 128 MB.
_SMALL = {
    "offsets.topic.num.partitions": "8",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "1",
    "log.cleaner.dedupe.buffer.size": "16777216",
}
