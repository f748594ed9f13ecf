"""Values for the chart: sets that must work, and sets that must be refused."""

from copy import deepcopy
from typing import Any

from support.chart import Values

DIGEST = "sha256:" + "0123456789abcdef" * 4
KEY_DIGEST = "ab" * 32
SECRETS = {
    "upstream-keys": ["OPENAI_API_KEY"],
    "pepper": ["HEADRACE_PEPPER"],
}
"""Secrets that an operator would have made, and their keys."""


def openai(**more: Any) -> dict[str, Any]:
    """A deployment that needs a key."""
    upstream = {"base_url": "https://api.openai.com/v1", "api_key": "${env:OPENAI_API_KEY}"}
    return {"name": "openai", "model": "gpt-4o-mini", "upstream": upstream, **more}


def local(url: str, name: str = "local") -> dict[str, Any]:
    """A deployment inside the cluster."""
    return {"name": name, "model": name, "upstream": {"base_url": url}}


OPEN: Values = {
    "image": {"repository": "registry.example/headrace"},
    "config": {
        "kafka": {"bootstrap_servers": ["kafka.example:9092"]},
        "auth": {"mode": "open"},
        "deployments": [local("http://vllm.models:8000/v1")],
    },
}
KEYS: Values = {
    "image": {"repository": "registry.example/headrace"},
    "config": {
        "kafka": {"bootstrap_servers": ["kafka-0.example:9093", "kafka-1.example:9094"]},
        "deployments": [openai()],
        "tenants": {"acme": {"models": ["gpt-*"], "keys": [KEY_DIGEST]}},
    },
    "ingress": {"existingSecret": "pepper"},
    "dispatcher": {"existingSecret": "upstream-keys"},
}
SASL = {"protocol": "SASL_SSL", "mechanism": "SCRAM-SHA-512"}


def changed(base: Values, path: str, value: Any) -> Values:
    """A copy of `base` with `value` at the dotted `path`."""
    values = deepcopy(base)
    at = values
    *steps, last = path.split(".")
    for step in steps:
        at = at.setdefault(step, {})
    at[last] = value
    return values


def changed_all(base: Values, **changes: Any) -> Values:
    """`changed` for several paths, their dots written as two underscores."""
    for path, value in changes.items():
        base = changed(base, path.replace("__", "."), value)
    return base


_PLACEMENT = {
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "llm", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
    ],
    "podLabels": {"team": "platform", "app.kubernetes.io/component": "mine"},
    "podAnnotations": {"example.com/note": "a: b"},
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
    "extraVolumes": [{"name": "extra", "emptyDir": {}}],
    "extraVolumeMounts": [{"name": "extra", "mountPath": "/extra"}],
}

ACCEPTED: dict[str, Values] = {
    "open": OPEN,
    "keys": KEYS,
    "sasl": changed_all(KEYS, config__kafka__security=SASL, kafkaAuth={"existingSecret": "kafka"}),
    "sasl, a user for each role": changed_all(
        KEYS,
        config__kafka__security=SASL,
        kafkaAuth={"caExistingSecret": "ca", "usernameKey": "user", "passwordKey": "pass"},
        ingress__kafkaExistingSecret="kafka-ingress",
        dispatcher__kafkaExistingSecret="kafka-dispatcher",
        governor__kafkaExistingSecret="kafka-governor",
        topics__kafkaExistingSecret="kafka-topics",
    ),
    "tls with its own authority": changed_all(
        OPEN,
        config__kafka__security={"protocol": "SSL"},
        kafkaAuth={"caExistingSecret": "ca", "caKey": "tls.crt"},
    ),
    "image by digest": changed_all(
        OPEN, image__digest=DIGEST, image__pullPolicy="Always", imagePullSecrets=[{"name": "pull"}]
    ),
    "user id left to the platform": changed(OPEN, "runAsUser", None),
    "user id of a shared cluster": changed(OPEN, "runAsUser", 1_000_680_000),
    "placed": changed_all(
        KEYS,
        ingress=KEYS["ingress"] | _PLACEMENT,
        dispatcher=KEYS["dispatcher"] | _PLACEMENT,
        governor=_PLACEMENT,
    ),
    "narrow network": changed(
        KEYS,
        "networkPolicy",
        {
            "httpFrom": [{"namespaceSelector": {"matchLabels": {"team": "apps"}}}],
            "metricsFrom": [{"podSelector": {"matchLabels": {"app": "prometheus"}}}],
            "dnsTo": [{"podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}],
            "kafkaTo": [{"ipBlock": {"cidr": "192.0.2.0/24"}}],
            "kafkaPorts": [9093, 9094, 9095],
            "upstreamsTo": [{"ipBlock": {"cidr": "198.51.100.0/24"}}],
            "upstreamPorts": [3128],
        },
    ),
    "no network policies": changed(OPEN, "networkPolicy.enabled", False),
    "nothing optional": changed_all(
        OPEN, topics__enabled=False, podDisruptionBudget__enabled=False
    ),
    "long drains": changed_all(
        OPEN,
        config__dispatcher__drain_s=1800.5,
        config__ingress__drain_s=120.5,
        ingress__preStopSeconds=0,
        ingress__indexSize="512Mi",
    ),
    "many upstreams": changed(
        OPEN,
        "config.deployments",
        [
            local("http://vllm.models:8000/v1", "a"),
            local("https://api.example/v1", "b"),
            local("http://plain.example", "c"),
            local("http://[2001:db8::1]:8001/v1", "d"),
        ],
    ),
    "long names": changed(OPEN, "fullnameOverride", "x" * 50),
    "key from a variable": changed(
        changed(KEYS, "dispatcher.existingSecret", ""),
        "dispatcher.extraEnv",
        [
            {
                "name": "OPENAI_API_KEY",
                "valueFrom": {"secretKeyRef": {"name": "openai", "key": "token"}},
            }
        ],
    ),
    "every section": changed_all(
        KEYS,
        config__kafka__topic_prefix="llm.",
        config__kafka__partitions={"requests": 48, "replies": 64},
        config__ingress={"max_waiters": 20000, "max_waiting_bytes": 268435456, "drain_s": 45},
        config__dispatcher={"read_ahead_bytes": 67108864, "lower_lane_share": 0.25},
        config__lanes={"now": {"deadline_s": 60}, "later": {"deadline_s": 86400}},
        config__default_lane="later",
        config__models={"gpt-4o-mini": {"retry": {"attempts": 5}}},
        ingress__service={"type": "LoadBalancer", "port": 80, "annotations": {"a": "b"}},
        ingress__replicas=5,
        governor__replicas=3,
        dispatcher__resources={"limits": {"memory": "2Gi"}},
    ),
}

REFUSED: dict[str, tuple[Values, str]] = {
    "nothing given": ({}, "repository"),
    "no brokers": (changed(OPEN, "config.kafka.bootstrap_servers", []), "bootstrap_servers"),
    "a broker without port": (changed(OPEN, "config.kafka.bootstrap_servers", ["k"]), "pattern"),
    "no deployments": (changed(OPEN, "config.deployments", []), "deployments"),
    "the tag latest": (changed(OPEN, "image.tag", "latest"), "/image/tag"),
    "half a digest": (changed(OPEN, "image.digest", "sha256:abc"), "/image/digest"),
    "an API key in the values": (
        changed(
            OPEN,
            "config.deployments",
            [openai(upstream={"base_url": "http://a", "api_key": "sk-1"})],
        ),
        "api_key",
    ),
    "a pepper in the values": (
        changed(KEYS, "config.auth", {"mode": "keys", "pepper": "salt"}),
        "pepper",
    ),
    "a password without TLS": (
        changed(KEYS, "config.kafka.security", {"protocol": "SASL_PLAINTEXT"}),
        "protocol",
    ),
    "a password in the values": (
        changed(KEYS, "config.kafka.security", SASL | {"password": "hunter2"}),
        "password",
    ),
    "an address that the chart sets": (
        changed(OPEN, "config.ingress", {"listen": "0.0.0.0:80"}),
        "listen",
    ),
    "a misspelt key of the configuration": (
        changed(OPEN, "config.dispatcher", {"drain": 30}),
        "'drain' not allowed",
    ),
    "a misspelt value": (changed(OPEN, "dispatcher.replica", 3), "'replica' not allowed"),
    "a number as text": (changed(OPEN, "dispatcher.replicas", "3"), "/dispatcher/replicas"),
    "root": (changed(OPEN, "runAsUser", 0), "/runAsUser"),
    "a port out of range": (changed(OPEN, "ingress.service.port", 70000), "/ingress/service/port"),
    "a negative drain": (changed(OPEN, "config.dispatcher", {"drain_s": -1}), "drain_s"),
    "SASL without a secret": (
        changed(KEYS, "config.kafka.security", SASL),
        "set kafkaAuth.existingSecret",
    ),
    "SASL without a mechanism": (
        changed_all(
            KEYS,
            config__kafka__security={"protocol": "SASL_SSL"},
            kafkaAuth={"existingSecret": "kafka"},
        ),
        "set config.kafka.security.mechanism",
    ),
    "keys without a pepper": (
        changed(KEYS, "ingress.existingSecret", ""),
        "reads HEADRACE_PEPPER from its environment: set ingress.existingSecret",
    ),
    "an upstream without its key": (
        changed(KEYS, "dispatcher.existingSecret", ""),
        "reads OPENAI_API_KEY from its environment: set dispatcher.existingSecret",
    ),
}
