"""Where parts of a configuration must agree: names that exist, rules across sections.

Works on the tree, so that a wrong value elsewhere does not hide these findings, and on whatever is
there: what is not of the right kind is the model's to report.
"""

from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatchcase
from itertools import chain

from headrace.schemas.config.address import is_loopback, on_loopback
from headrace.schemas.config.errors import ProblemCode, did_you_mean
from headrace.schemas.config.finding import Finding, Plain, deployments, is_true, listed, section
from headrace.schemas.config.keypath import KeyPath
from headrace.schemas.config.limit_agreement import limits_agree


def findings(tree: Plain, default_lanes: Collection[str]) -> Iterator[Finding]:
    """Everything in `tree` that disagrees; `default_lanes` hold where it names none."""
    lanes = tuple(section(tree, "lanes")) or tuple(default_lanes)
    models = {str(deployment.get("model")) for _, deployment in deployments(tree)}
    return chain(
        _one_name_each(tree),
        _models_are_served(tree, models),
        _lanes_exist(tree, lanes),
        _tenants_reach_models(tree, models),
        limits_agree(tree),
        _keys_are_told_apart(tree),
        _passwords_travel_hidden(tree),
        _open_is_for_development(tree),
    )


def _one_name_each(tree: Plain) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, deployment in deployments(tree):
        name = str(deployment.get("name"))
        if name in seen:
            yield Finding(("deployments", index, "name"), f"a second deployment called {name}")
        seen.add(name)


def _models_are_served(tree: Plain, models: set[str]) -> Iterator[Finding]:
    for model in section(tree, "models"):
        if model not in models:
            yield _unknown(("models", model), f"no deployment serves {model}", model, models)


def _lanes_exist(tree: Plain, lanes: Collection[str]) -> Iterator[Finding]:
    default = tree.get("default_lane")
    if isinstance(default, str) and default not in lanes:
        yield _unknown(("default_lane",), f"no lane is called {default}", default, lanes)
    for tenant, said in section(tree, "tenants").items():
        for index, lane in enumerate(listed(said, "lanes")):
            if isinstance(lane, str) and lane not in lanes:
                path = ("tenants", tenant, "lanes", index)
                yield _unknown(path, f"no lane is called {lane}", lane, lanes)


def _tenants_reach_models(tree: Plain, models: set[str]) -> Iterator[Finding]:
    """A name must exist; a pattern may wait for deployments to come."""
    for tenant, said in section(tree, "tenants").items():
        for index, pattern in enumerate(listed(said, "models")):
            if not isinstance(pattern, str) or any(fnmatchcase(m, pattern) for m in models):
                continue
            path = ("tenants", tenant, "models", index)
            if set(pattern) & set("*?["):
                yield Finding(path, f"{pattern} matches no model that is served", fatal=False)
            else:
                yield _unknown(path, f"no deployment serves {pattern}", pattern, models)


def _keys_are_told_apart(tree: Plain) -> Iterator[Finding]:
    auth = section(tree, "auth")
    owners: dict[str, str] = {}
    for tenant, said in section(tree, "tenants").items():
        names: set[str] = set()
        for index, key in enumerate(listed(said, "keys")):
            path = ("tenants", tenant, "keys", index)
            told = key if isinstance(key, Mapping) else {"digest": key}
            digest, name = str(told.get("digest")), told.get("name")
            if digest in owners:
                yield Finding(path, f"the same key as tenant {owners[digest]} has")
            owners.setdefault(digest, tenant)
            if name in names:
                yield Finding((*path, "name"), f"a second key called {name}")
            if isinstance(name, str):
                names.add(name)
    if auth.get("mode") == "keys":
        if auth.get("pepper") is None:
            yield Finding(("auth", "pepper"), "mode keys needs it", ProblemCode.MISSING_KEY)
        if not owners:
            yield Finding(("auth", "mode"), "no tenant has a key: all is refused", fatal=False)


def _passwords_travel_hidden(tree: Plain) -> Iterator[Finding]:
    security = section(section(tree, "kafka"), "security")
    exposed = security.get("protocol") == "SASL_PLAINTEXT"
    if exposed and not (is_true(security, "allow_insecure") or is_true(tree, "development")):
        message = "sends the password without TLS; use SASL_SSL, or set allow_insecure: true"
        yield Finding(("kafka", "security", "protocol"), message)
    for index, deployment in deployments(tree):
        upstream = section(deployment, "upstream")
        url = str(upstream.get("base_url", ""))
        if url.startswith("http:") and upstream.get("api_key") and not on_loopback(url):
            path = ("deployments", index, "upstream", "base_url")
            yield Finding(path, "sends the API key without TLS", fatal=False)


def _open_is_for_development(tree: Plain) -> Iterator[Finding]:
    host = str(section(tree, "ingress").get("listen", "0.0.0.0")).rpartition(":")[0]  # noqa: S104
    guarded = section(tree, "auth").get("mode") == "keys" or is_true(tree, "development")
    if not guarded and not is_loopback(host.strip("[]")):
        yield Finding(("auth", "mode"), "open: whoever reaches the port may call", fatal=False)


def _unknown(path: KeyPath, message: str, word: str, known: Collection[str]) -> Finding:
    return Finding(path, message + did_you_mean(word, known), ProblemCode.UNKNOWN_NAME)
