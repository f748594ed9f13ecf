"""What a rendered release means: the environment, the configuration and the ports of its pods."""

from pathlib import Path
from typing import Any

from deploy.value_sets import SECRETS

from headrace.schemas.config.load import parse
from headrace.schemas.config.model import Config
from support.chart import Pod, Release


def environ_of(pod: Pod) -> dict[str, str]:
    """The variables that the pod would have."""
    sources = [row["secretRef"]["name"] for row in pod.container.get("envFrom", [])]
    from_secrets = {key: "made-up" for name in sources for key in SECRETS[name]}
    return from_secrets | pod.environ


def config_of(release: Release, role: str, folder: Path) -> Config:
    """The configuration of a role. Files that are mounted into its pod are not looked at; those of
    references are in `folder`.
    """
    pod = release.pod(role)

    def read_secret(name: str) -> str:
        return (folder / name).read_text()

    return parse(release.config_of(pod), "headrace.yaml", environ_of(pod), read_secret)


def port_of(listen: str) -> int:
    return int(listen.rpartition(":")[2])


def containers_ports(pod: Pod) -> dict[str, int]:
    return {row["name"]: row["containerPort"] for row in pod.container.get("ports", [])}


def selector_of(manifest: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = manifest["spec"]
    selector: dict[str, Any] = spec.get("podSelector") or spec["selector"]
    return selector
