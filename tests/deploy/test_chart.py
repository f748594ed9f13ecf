"""The Helm chart over many sets of values: what Kubernetes checks, and what it does not."""

import json
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import pytest
from deploy.chart_schema import SCHEMA, config_definitions
from deploy.rendered import config_of, containers_ports, port_of
from deploy.value_sets import ACCEPTED, KEYS, OPEN, REFUSED, changed

from support.chart import CHART, Release, Values, hooks, render
from support.commands import parse_command

KUBERNETES = ("1.30", kubernetes_validate.latest_version())
"""The oldest that Chart.yaml allows, and the newest that is known here."""
MARGIN_S = 10


@pytest.mark.parametrize("name", ACCEPTED)
def test_kubernetes_accepts_every_object(name: str) -> None:
    versions = (
        KUBERNETES if name in {"placed", "narrow network", "every section"} else KUBERNETES[1:]
    )
    for manifest in render(ACCEPTED[name]).manifests:
        for version in versions:
            kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize(("values", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_wrong_values_are_refused_by_name(values: Values, said: str) -> None:
    with pytest.raises(helm_python.HelmError) as refused:
        render(values)
    assert said in str(refused.value)


def test_the_schema_knows_every_key_of_the_configuration() -> None:
    written = json.loads(SCHEMA.read_text())["$defs"]
    wanted = config_definitions()
    stale = {name for name in wanted if written.get(name) != wanted[name]}
    assert not stale, "run: python tests/deploy/chart_schema.py"


def test_helm_lint_finds_nothing() -> None:
    report = helm_python.lint(CHART, KEYS, strict=True)
    assert not report["errors"]
    assert [each["error"] for each in report["messages"] if "icon" not in each["error"]] == []


@pytest.mark.parametrize("role", ["ingress", "dispatcher", "governor"])
def test_a_role_can_load_the_configuration_it_is_given(
    release: Release, role: str, tmp_path: Path
) -> None:
    config = config_of(release, role, tmp_path)
    listens = {
        "ingress": {"http": config.ingress.listen, "metrics": config.ingress.metrics_listen},
        "dispatcher": {"metrics": config.dispatcher.metrics_listen},
        "governor": {"metrics": config.governor.metrics_listen},
    }[role]
    pod = release.pod(role)
    assert containers_ports(pod) == {name: port_of(each) for name, each in listens.items()}
    assert all(each.startswith("0.0.0.0:") for each in listens.values())


def test_the_topics_job_loads_its_configuration_before_the_release_exists(tmp_path: Path) -> None:
    for number, values in enumerate(ACCEPTED.values()):
        release = render(values)
        if not values.get("topics", {}).get("enabled", True):
            assert not release.of_kind("Job")
            continue
        config = config_of(release, "topics", tmp_path)
        assert config.kafka == config_of(release, "dispatcher", tmp_path).kafka, number
        job = release.pod("topics")
        assert hooks(job.owner) == ["pre-install", "pre-upgrade"]
        needs = [
            release.named("ServiceAccount", job.spec["serviceAccountName"]),
            release.named("ConfigMap", job.spec["volumes"][0]["configMap"]["name"]),
        ]
        for need in needs:
            assert hooks(need) == hooks(job.owner)
            assert weight(need) < weight(job.owner)


def weight(manifest: dict[str, Any]) -> int:
    return int(manifest["metadata"]["annotations"]["helm.sh/hook-weight"])


def test_every_command_is_one_that_headrace_has(release: Release) -> None:
    for pod in release.pods():
        if pod.role != "test":
            assert parse_command(pod.container["args"]).split()[0] == pod.role


def test_readiness_turns_within_ten_seconds(release: Release) -> None:
    for role in ("ingress", "dispatcher", "governor"):
        probe = release.pod(role).container["readinessProbe"]
        assert probe["periodSeconds"] * probe["failureThreshold"] <= 10


def test_the_grace_covers_the_hook_and_the_drain(release: Release, tmp_path: Path) -> None:
    drains = {
        "ingress": config_of(release, "ingress", tmp_path).ingress.drain_s,
        "dispatcher": config_of(release, "dispatcher", tmp_path).dispatcher.drain_s,
        "governor": 0,
    }
    for role, drain_s in drains.items():
        pod = release.pod(role)
        hook = (
            pod.container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        )
        assert pod.spec["terminationGracePeriodSeconds"] >= drain_s + hook + MARGIN_S


def test_the_index_is_kept_on_a_volume_of_its_own(release: Release, tmp_path: Path) -> None:
    pod = release.pod("ingress")
    (mount,) = (row for row in pod.container["volumeMounts"] if row["name"] == "index")
    (volume,) = (row for row in pod.spec["volumes"] if row["name"] == "index")
    assert config_of(release, "ingress", tmp_path).ingress.index_dir == mount["mountPath"]
    assert volume["emptyDir"]["sizeLimit"]


def test_mounts_and_volumes_belong_together(release: Release) -> None:
    for pod in release.pods():
        volumes = [row["name"] for row in pod.spec.get("volumes", [])]
        mounts = [row["name"] for row in pod.container.get("volumeMounts", [])]
        assert sorted(volumes) == sorted(mounts)
        assert len({row["mountPath"] for row in pod.container.get("volumeMounts", [])}) == len(
            mounts
        )


def test_pods_restart_when_their_configuration_changes_and_only_then() -> None:
    def sums(values: Values) -> dict[str, str]:
        return {
            pod.role: pod.owner["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
            for pod in render(values).pods()
            if pod.owner["kind"] == "Deployment"
        }

    before = sums(KEYS)
    assert sums(changed(KEYS, "dispatcher.replicas", 9)) == before
    after = sums(changed(KEYS, "config.tenants", {"acme": {"keys": ["cd" * 32]}}))
    assert after["ingress"] != before["ingress"]
    after = sums(changed(KEYS, "config.lanes", {"only": {"deadline_s": 5}}))
    assert all(after[role] != before[role] for role in before)


def test_the_notes_warn_of_open_access() -> None:
    assert "WARNING" in render(OPEN).notes
    assert "WARNING" not in render(KEYS).notes
    assert "http://demo-headrace-ingress.llm.svc:8080/v1" in render(KEYS).notes
