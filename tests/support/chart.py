"""The Helm chart, rendered without a cluster, and questions to ask of what came out."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import helm_python
import yaml

CHART = Path(__file__).parents[2] / "helm/headrace"

Manifest = dict[str, Any]
Values = dict[str, Any]


@dataclass(frozen=True)
class Pod:
    """A pod and the object that it comes from."""

    owner: Manifest
    labels: dict[str, str]
    spec: Manifest

    @property
    def role(self) -> str:
        return self.labels["app.kubernetes.io/component"]

    @property
    def container(self) -> Manifest:
        (only,) = self.spec["containers"]
        container: Manifest = only
        return container

    @property
    def environ(self) -> dict[str, str]:
        """Names of the variables set one by one, each with a made-up value."""
        return {row["name"]: row.get("value", "made-up") for row in self.container.get("env", [])}


@dataclass(frozen=True)
class Release:
    """All objects of one rendering."""

    manifests: tuple[Manifest, ...]
    notes: str

    def of_kind(self, kind: str) -> list[Manifest]:
        return [each for each in self.manifests if each["kind"] == kind]

    def named(self, kind: str, name: str) -> Manifest:
        (found,) = (each for each in self.of_kind(kind) if each["metadata"]["name"] == name)
        return found

    def pods(self) -> list[Pod]:
        return [_pod(each) for each in self.manifests if each["kind"] in _TEMPLATES]

    def pod(self, role: str) -> Pod:
        (found,) = (pod for pod in self.pods() if pod.role == role)
        return found

    def config_of(self, pod: Pod) -> str:
        """The text of the configuration that is mounted into `pod`."""
        (volume,) = (row for row in pod.spec["volumes"] if row["name"] == "config")
        text: str = self.named("ConfigMap", volume["configMap"]["name"])["data"]["headrace.yaml"]
        return text


_TEMPLATES = ("Deployment", "Job", "Pod")


def _pod(owner: Manifest) -> Pod:
    template = owner if owner["kind"] == "Pod" else owner["spec"]["template"]
    return Pod(owner, template["metadata"]["labels"], template["spec"])


@cache
def _chart() -> helm_python.Chart:
    return helm_python.Chart.load(CHART)


def render(values: Values, *, name: str = "demo") -> Release:
    """Check `values` against the schema and render. Raises `helm_python.HelmError`."""
    return _render(json.dumps(values), name)


@cache
def _render(written: str, name: str) -> Release:
    values = json.loads(written)
    _chart().validate_schema(values)
    files = _chart().render(values, name=name, namespace="llm")
    notes = files.pop("headrace/templates/NOTES.txt")
    loaded = (each for text in files.values() for each in yaml.safe_load_all(text))
    return Release(tuple(each for each in loaded if each is not None), notes)


def hooks(manifest: Manifest) -> list[str]:
    """The moments at which Helm runs it; empty for an ordinary object."""
    named = manifest["metadata"].get("annotations", {}).get("helm.sh/hook", "")
    return named.split(",") if named else []


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    """Whether a selector of `matchLabels` (or of a Service) matches a pod with `labels`."""
    wanted = selector.get("matchLabels", selector)
    return all(labels.get(key) == value for key, value in wanted.items())
