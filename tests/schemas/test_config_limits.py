"""Limits that contradict one another are refused, with the line that says so."""

import pytest

from headrace.schemas.config.errors import ConfigInvalid, ProblemCode
from headrace.schemas.config.load import parse, read
from headrace.schemas.names import Tenant

DIGEST = "a" * 64
PLACE = '    upstream: {base_url: "https://example.com/v1"}'


def config(limits: str, rest: str = "", pool: str = "") -> str:
    return f"""\
deployments:
  - name: east
    model: m
{PLACE}
    limits: {{{", ".join(filter(None, (limits, pool)))}}}
{rest}
"""


def problems(text: str) -> str:
    with pytest.raises(ConfigInvalid) as refused:
        parse(text, "headrace.yaml", {}, str)
    return "\n".join(map(str, refused.value.problems))


POOL = "pool: account"
ACCOUNT = "pools: {account: {limits: {requests_per_minute: 50}}}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (config("requests_per_minute: 0"), "greater than or equal to 1"),
        (config("tokens_per_minute: -5"), "greater than or equal to 1"),
        (
            config("input_tokens_per_minute: 9, tokens_per_minute: 8"),
            "is above tokens_per_minute, 8",
        ),
        (
            config("requests_per_minute: 51", ACCOUNT, POOL),
            "is above that of the pool account, 50",
        ),
        (config("", "pools: {acount: {}}", POOL), "no pool is called account; did you mean acount"),
        (
            config("process_concurrency: 4", "lanes: {a: {deadline_s: 9, reserve: 0.5},"
            " b: {deadline_s: 9, reserve: 0.5}}"),
            "all reserves together are above 0.9",
        ),
        (config("", "breaker: {failing_share: 0.1}"), "breaker.failing_share"),
        (config("", "breaker: {mode: off}"), "breaker.mode"),
        (config("", "breaker: {open_s: 20, longest_open_s: 10}"), "longest_open_s: is below open_s"),
        (config("adaptive: true"), "limits.adaptive: needs concurrency"),
        (
            config("adaptive: true, adaptive_least: 9, concurrency: 8"),
            "limits.adaptive_least: is above concurrency, 8",
        ),
        (config("adaptive: true, concurrency: 8, adaptive_tolerance: 1"), "greater than or equal to 1.1"),
        (config("concurrency: 0"), "greater than or equal to 1"),
        (config("process_concurrency: -1"), "greater than or equal to 1"),
        (
            config("concurrency: 9", "pools: {account: {limits: {concurrency: 8}}}", POOL),
            "limits.concurrency: is above that of the pool account, 8",
        ),
        (
            config("concurrency: 9", "models: {m: {limits: {concurrency: 8}}}"),
            "limits.concurrency: is above that of the model m, 8",
        ),
        (
            config("concurrency: 9", "lanes: {a: {deadline_s: 9, reserve: 0.5}}\n"
            "tenants: {t: {reserve: 0.5}}"),
            "tenants.t.reserve: all reserves together are above 0.9",
        ),
        (
            config("process_concurrency: 4", "tenants: {t: {limits: {output_tokens_per_minute: 9,"
            " tokens_per_minute: 8}}}"),
            "is above tokens_per_minute, 8",
        ),
        (
            config("output_tokens_per_minute: 500", "pools: {account: {limits: {tokens_per_minute: 10}}}",
            POOL),
            "limits.output_tokens_per_minute: is above tokens_per_minute of the pool account, 10",
        ),
        (
            config("tokens_per_minute: 50", "pools: {account: {limits: {input_tokens_per_minute: 10,"
            " output_tokens_per_minute: 20}}}", POOL),
            "is above input_tokens_per_minute and output_tokens_per_minute of the pool account, 30",
        ),
        (
            config("", f"{ACCOUNT}\nmodels: {{m: {{limits: {{requests_per_minute: 51}}}}}}", POOL),
            "models.m.limits.requests_per_minute: is above what the pools of its deployments allow, 50",
        ),
        (config("", ACCOUNT), "headrace.yaml:6: pools.account: no deployment is in it"),
        (
            config("requests_per_minute: 50", "tenants: {t: {limits: {requests_per_minute: 51}}}"),
            "tenants.t.limits.requests_per_minute: is above what all that it may use allows, 50",
        ),
        (
            config("", f"{ACCOUNT}\ntenants: {{t: {{limits: {{requests_per_minute: 51}}}}}}", POOL),
            "tenants.t.limits.requests_per_minute: is above what all that it may use allows, 50",
        ),
        (
            config("concurrency: 9", "models: {m: {limits: {concurrency: 9}}}\n"
            "tenants: {t: {models: [m], limits: {concurrency: 10}}}"),
            "tenants.t.limits.concurrency: is above what all that it may use allows, 9",
        ),
        (
            config("", "lanes: {a: {deadline_s: 9, reserve: 50%}, b: {deadline_s: 9, reserve: 50%}}"),
            "all reserves together are above 0.9",
        ),
        (
            config("", "tenants: {t: {limits: {concurrency: 4}, keys: ["
            f"{{digest: {DIGEST}, name: ci, limits: {{concurrency: 5}}}}]}}}}"),
            "tenants.t.keys[0].limits.concurrency: is above that of the tenant t, 4",
        ),
        (
            config("requests_per_minute: 50", "tenants: {t: {keys: ["
            f"{{digest: {DIGEST}, name: ci, limits: {{requests_per_minute: 51}}}}]}}}}"),
            "limits.requests_per_minute: is above what all that it may use allows, 50",
        ),
        (
            config("", f"tenants: {{t: {{keys: [{{digest: {DIGEST}, limits: {{concurrency: 5}}}}]}}}}"),
            "tenants.t.keys[0].limits: a key with limits needs a name",
        ),
        (
            config("", "tenants: {t: {keys: ["
            f"{{digest: {DIGEST}, name: ci}}, {{digest: {'b' * 64}, name: ci}}]}}}}"),
            "tenants.t.keys[1].name: a second key called ci",
        ),
        (
            config("", f"tenants: {{t: {{keys: [{DIGEST}, {{digest: {DIGEST}, name: ci}}]}}}}"),
            "tenants.t.keys[1]: the same key as tenant t has",
        ),
        (config("", "tenants: {t: {reserve: 95%}}"), "less than or equal to 0.9"),
        (config("", "tenants: {t: {reserve: ten%}}"), "tenants.t.reserve: should be a number"),
    ],
)  # fmt: skip
def test_limits_that_cannot_be_meant_are_refused(text: str, says: str) -> None:
    assert says in problems(text)


@pytest.mark.parametrize("limits", ["requests_per_minute: 51", "concurrency: 6"])
def test_the_line_and_the_code_of_the_contradiction_are_named(limits: str) -> None:
    account = "pools: {account: {limits: {requests_per_minute: 50, concurrency: 5}}}"
    with pytest.raises(ConfigInvalid) as refused:
        parse(config(limits, account, POOL), "headrace.yaml", {}, str)
    (problem,) = refused.value.problems
    assert (problem.where, problem.code) == ("headrace.yaml:5", ProblemCode.CONFLICT)


def test_a_reserve_of_nothing_is_warned_of() -> None:
    """Seats of each process are not shared out: its lanes have their order only."""
    text = config("process_concurrency: 4", "lanes: {a: {deadline_s: 9, reserve: 0.5}}")
    warnings = read(text, "headrace.yaml", {}, str).warnings
    assert any("lanes.a.reserve: nothing is limited" in str(one) for one in warnings)
    text = config("concurrency: 4", "lanes: {a: {deadline_s: 9, reserve: 0.5}}")
    warnings = read(text, "headrace.yaml", {}, str).warnings
    assert not any("nothing is limited" in str(one) for one in warnings)


def test_a_reserve_of_one_call_at_a_time_is_warned_of() -> None:
    text = config("concurrency: 1", "tenants: {t: {reserve: 0.5}}")
    warnings = read(text, "headrace.yaml", {}, str).warnings
    assert any("no part can be reserved" in str(one) for one in warnings)


def test_limits_that_agree_are_read() -> None:
    agreed = parse(config("requests_per_minute: 50", ACCOUNT, POOL), "headrace.yaml", {}, str)
    assert agreed.deployments[0].limits.requests_per_minute == 50
    assert agreed.deployments[0].limits.process_concurrency == 64
    assert agreed.deployments[0].limits.concurrency is None


SECOND = f"""\
  - name: west
    model: m
{PLACE}
    limits: {{requests_per_minute: 50}}
"""


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param(f"{SECOND}tenants: {{t: {{limits: {{requests_per_minute: 100}}}}}}", id="two"),
        pytest.param("tenants: {t: {models: [], limits: {requests_per_minute: 51}}}", id="none"),
        pytest.param("models: {m: {limits: {requests_per_minute: 9, shadow: true}}}", id="shadow"),
        pytest.param("models: {m: {limits: {requests_per_minute: 100}}}", id="room to grow"),
        pytest.param("tenants: {t: {limits: {tokens_per_minute: 100}}}", id="another kind"),
    ],
)
def test_limits_that_do_not_contradict_are_left_alone(rest: str) -> None:
    agreed = parse(config("requests_per_minute: 50", rest), "headrace.yaml", {}, str)
    assert agreed.deployments[0].limits.requests_per_minute == 50


def test_a_whole_with_a_limit_on_one_part_says_nothing_of_the_sum() -> None:
    pool = "pools: {account: {limits: {input_tokens_per_minute: 10}}}"
    agreed = parse(config("tokens_per_minute: 50", pool, POOL), "headrace.yaml", {}, str)
    assert agreed.deployments[0].limits.tokens_per_minute == 50


def test_a_reserve_may_be_a_percentage() -> None:
    text = config("", "lanes: {a: {deadline_s: 9, reserve: 10%}}\ntenants: {t: {reserve: 2.5%}}")
    agreed = parse(text, "headrace.yaml", {}, str)
    assert [one.reserve for one in agreed.lanes.values()] == [0.1]
    assert [one.reserve for one in agreed.tenants.values()] == [0.025]


def test_a_key_is_its_digest_alone_or_has_a_name_and_limits() -> None:
    second = f"{{digest: {'b' * 64}, name: ci, limits: {{concurrency: 5}}}}"
    agreed = parse(
        config("", f"tenants: {{t: {{keys: [{DIGEST}, {second}]}}}}"), "headrace.yaml", {}, str
    )
    tenant = agreed.tenants[Tenant("t")]
    assert [one.digest for one in tenant.keys] == [DIGEST, "b" * 64]
    assert list(tenant.limited_keys) == ["ci"]
    assert agreed.limited


def test_a_pool_is_named_with_the_limits_of_a_deployment() -> None:
    agreed = parse(config("concurrency: 9", ACCOUNT, POOL), "headrace.yaml", {}, str)
    assert agreed.deployments[0].limits.pool == "account"


def test_where_no_pool_has_limits_a_name_alone_is_warned_of() -> None:
    reading = read(config("", pool=POOL), "headrace.yaml", {}, str)
    assert any("limits.pool: no pool is called account" in str(one) for one in reading.warnings)
    assert not reading.config.limited
