"""Who finds whom: selectors, ports, names and the network policies of the chart."""

from deploy.rendered import containers_ports, selector_of
from deploy.value_sets import ACCEPTED, OPEN

from support.chart import Release, hooks, render, selects


def test_selectors_match_their_pods_and_no_others(release: Release) -> None:
    for pod in release.pods():
        if pod.owner["kind"] == "Deployment":
            assert selects(pod.owner["spec"]["selector"], pod.labels)
    chosen = {
        (each["kind"], each["metadata"]["name"]): {
            pod.role for pod in release.pods() if selects(selector_of(each), pod.labels)
        }
        for kind in ("Service", "PodDisruptionBudget", "NetworkPolicy")
        for each in release.of_kind(kind)
    }
    for (kind, name), roles in chosen.items():
        if name.endswith("-deny"):
            assert roles == {pod.role for pod in release.pods()}
        else:
            assert roles == {name.rpartition("-")[2]}, (kind, name)


def egress_ports(release: Release, role: str) -> set[int]:
    return {
        row["port"]
        for policy in release.of_kind("NetworkPolicy")
        if selects(selector_of(policy), release.pod(role).labels)
        for rule in policy["spec"].get("egress", [])
        for row in rule["ports"]
    }


def test_only_dispatchers_reach_upstreams() -> None:
    release = render(ACCEPTED["many upstreams"])
    assert egress_ports(release, "dispatcher") == {53, 9092, 8000, 443, 80, 8001}
    assert egress_ports(release, "ingress") == {53, 9092}
    assert egress_ports(release, "governor") == {53, 9092}
    assert egress_ports(release, "topics") == {53, 9092}
    assert egress_ports(release, "test") == {53, 8080}


def test_every_pod_starts_from_a_policy_that_allows_nothing(release: Release) -> None:
    policies = release.of_kind("NetworkPolicy")
    for policy in policies:
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    denials = [each for each in policies if not {"ingress", "egress"} & each["spec"].keys()]
    assert len(denials) == (1 if policies else 0)


def test_peers_narrow_each_rule() -> None:
    release = render(ACCEPTED["narrow network"])
    policy = release.named("NetworkPolicy", "demo-headrace-dispatcher")["spec"]
    assert [rule["to"][0] for rule in policy["egress"]] == [
        {"podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}},
        {"ipBlock": {"cidr": "192.0.2.0/24"}},
        {"ipBlock": {"cidr": "198.51.100.0/24"}},
    ]
    assert {row["port"] for row in policy["egress"][1]["ports"]} == {9093, 9094, 9095}
    clients = release.named("NetworkPolicy", "demo-headrace-ingress")["spec"]["ingress"][0]["from"]
    assert any(
        selects(peer.get("podSelector", {}), release.pod("test").labels) for peer in clients[1:]
    )


def test_labels_of_the_operator_never_replace_ours() -> None:
    pod = render(ACCEPTED["placed"]).pod("dispatcher")
    assert pod.labels["team"] == "platform"


def test_names_fit_into_a_label(release: Release) -> None:
    for manifest in release.manifests:
        assert len(manifest["metadata"]["name"]) <= 63
        assert all(len(value) <= 63 for value in manifest["metadata"]["labels"].values())


def test_two_releases_in_a_namespace_share_no_name() -> None:
    names = [
        {(each["kind"], each["metadata"]["name"]) for each in render(OPEN, name=name).manifests}
        for name in ("one", "two")
    ]
    assert not names[0] & names[1]


def test_probes_and_the_service_name_ports_that_exist(release: Release) -> None:
    (service,) = release.of_kind("Service")
    targets = {row["targetPort"] for row in service["spec"]["ports"]}
    assert targets == {"http"} <= containers_ports(release.pod("ingress")).keys()
    for role in ("ingress", "dispatcher", "governor"):
        container = release.pod(role).container
        probes = {
            each: container[f"{each}Probe"]["httpGet"]
            for each in ("startup", "liveness", "readiness")
        }
        assert [row["path"] for row in probes.values()] == ["/livez", "/livez", "/readyz"]
        assert all(row["port"] in containers_ports(release.pod(role)) for row in probes.values())


def test_helm_test_asks_the_service_that_exists(release: Release) -> None:
    (service,) = release.of_kind("Service")
    url = release.pod("test").container["command"][-1]
    port = service["spec"]["ports"][0]["port"]
    assert url == f"http://{service['metadata']['name']}:{port}/readyz"
    assert hooks(release.pod("test").owner) == ["test"]
