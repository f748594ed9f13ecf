"""What the chart must never do: root, passwords, secrets for those who need none."""

from pathlib import Path
from typing import Any

import yaml
from deploy.rendered import config_of
from deploy.value_sets import ACCEPTED, KEYS, SASL, changed, changed_all

from headrace.schemas.names import Tenant
from support.chart import CHART, Release, render


def test_every_pod_meets_the_restricted_standard(release: Release) -> None:
    for pod in release.pods():
        assert pod.spec["automountServiceAccountToken"] is False
        assert pod.spec["securityContext"]["runAsNonRoot"] is True
        assert pod.spec["securityContext"].get("runAsUser", 1) != 0
        assert pod.spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod.container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not any("hostPath" in volume for volume in pod.spec.get("volumes", []))
        assert "memory" in pod.container["resources"]["limits"]
    for account in release.of_kind("ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


def test_a_large_user_id_stays_a_whole_number() -> None:
    """It came out as 1.00068e+09, which Kubernetes refuses."""
    for pod in render(ACCEPTED["user id of a shared cluster"]).pods():
        said = pod.spec["securityContext"]
        ids = [str(said[key]) for key in ("runAsUser", "runAsGroup", "fsGroup")]
        assert ids == ["1000680000"] * 3


def test_the_file_of_the_authority_is_where_the_configuration_says(tmp_path: Path) -> None:
    release = render(ACCEPTED["tls with its own authority"])
    for role in ("ingress", "dispatcher", "governor", "topics"):
        pod = release.pod(role)
        (mount,) = (row for row in pod.container["volumeMounts"] if row["name"] == "kafka-ca")
        (volume,) = (row for row in pod.spec["volumes"] if row["name"] == "kafka-ca")
        (item,) = volume["secret"]["items"]
        said = config_of(release, role, tmp_path).kafka.security.ca_file
        assert said == f"{mount['mountPath']}/{item['path']}"
        assert item["key"] == "tls.crt"


def test_no_password_is_in_the_chart_or_comes_out_of_it(release: Release) -> None:
    assert not release.of_kind("Secret")
    for manifest in release.of_kind("ConfigMap"):
        for key, value in scalars(yaml.safe_load(manifest["data"]["headrace.yaml"])):
            if key in {"password", "api_key", "pepper", "username"}:
                assert str(value).startswith("${env:")
    for key, value in scalars(yaml.safe_load((CHART / "values.yaml").read_text())):
        if "secret" in key.lower():
            assert value == ""


def scalars(tree: Any, key: str = "") -> list[tuple[str, Any]]:
    """Every value that is no mapping or list, with the name it stands under."""
    if isinstance(tree, dict):
        return [found for name, each in tree.items() for found in scalars(each, name)]
    if isinstance(tree, list):
        return [found for each in tree for found in scalars(each, key)]
    return [(key, tree)]


def test_each_role_gets_only_the_secrets_it_needs(tmp_path: Path) -> None:
    release = render(ACCEPTED["sasl, a user for each role"])
    ingress = config_of(release, "ingress", tmp_path)
    dispatcher = config_of(release, "dispatcher", tmp_path)
    governor = config_of(release, "governor", tmp_path)
    assert governor.deployments[0].upstream.api_key is None
    assert governor.auth.pepper is None
    assert not governor.tenants[Tenant("acme")].keys
    assert ingress.deployments[0].upstream.api_key is None
    assert dispatcher.deployments[0].upstream.api_key is not None
    assert ingress.auth.pepper is not None
    assert ingress.tenants[Tenant("acme")].keys
    assert dispatcher.auth.pepper is None
    assert not dispatcher.tenants[Tenant("acme")].keys
    for role in ("ingress", "dispatcher", "governor", "topics"):
        rows = release.pod(role).container["env"]
        assert {row["valueFrom"]["secretKeyRef"]["name"] for row in rows} == {f"kafka-{role}"}
        assert [row["valueFrom"]["secretKeyRef"]["key"] for row in rows] == ["user", "pass"]


def test_one_image_for_all_and_never_latest(release: Release) -> None:
    images = {pod.container["image"] for pod in release.pods()}
    assert len(images) == 1
    assert not images.pop().endswith(("latest", "/headrace"))


def test_a_digest_wins_over_the_tag() -> None:
    release = render(changed(ACCEPTED["image by digest"], "image.tag", "1.2.3"))
    assert release.pod("ingress").container["image"].startswith("registry.example/headrace@sha256:")


def test_a_kafka_secret_of_a_role_wins_over_the_shared_one() -> None:
    release = render(
        changed_all(
            KEYS,
            config__kafka__security=SASL,
            kafkaAuth={"existingSecret": "shared"},
            ingress__kafkaExistingSecret="own",
        )
    )
    names = {
        role: release.pod(role).container["env"][0]["valueFrom"]["secretKeyRef"]["name"]
        for role in ("ingress", "dispatcher")
    }
    assert names == {"ingress": "own", "dispatcher": "shared"}
