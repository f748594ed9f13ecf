"""Who is called with credits only."""

from typing import Any

from headrace.dispatcher.governed import Governed
from headrace.schemas.bounds import Cost
from headrace.schemas.config.model import Config
from headrace.schemas.limits import Units
from headrace.schemas.names import NO_KEY, KeyName, Tenant
from support.limits import flow


def governed(limits: dict[str, int] | None = None, **sections: Any) -> Governed:
    """Of two deployments: `d` of model `m` with `limits`, in the pool `p` if there is one; `e` has none."""
    upstream = {"base_url": "http://127.0.0.1:1/v1"}
    pool = {"pool": "p"} if "pools" in sections else {}
    return Governed(
        Config.model_validate(
            {
                "deployments": [
                    {
                        "name": "d",
                        "model": "m",
                        "upstream": upstream,
                        "limits": pool | (limits or {}),
                    },
                    {"name": "e", "model": "n", "upstream": upstream},
                ],
                **sections,
            }
        )
    )


def test_calls_in_flight_alone_need_no_governor() -> None:
    assert governed({"process_concurrency": 5}).deployments == frozenset()


def test_a_limit_by_the_minute_concerns_its_deployment_alone() -> None:
    one = governed({"requests_per_minute": 5})
    assert (one.deployments, one.models, one.counting) == ({"d"}, {"m"}, frozenset())


def test_a_pool_concerns_its_members() -> None:
    one = governed(pools={"p": {"limits": {"tokens_per_minute": 100}}})
    assert (one.deployments, one.counting) == ({"d"}, {"m"})


def test_a_tenant_with_limits_concerns_all_deployments() -> None:
    one = governed(tenants={"t": {"limits": {"input_tokens_per_minute": 100}}})
    assert (one.deployments, one.counting) == ({"d", "e"}, {"m", "n"})
    assert one.fitted(flow("t"), Cost(101, 0, firm=False)) is None
    assert one.fitted(flow("other"), Cost(101, 7, firm=False)) == Units(1, 101, 7)


def test_what_other_lanes_keep_is_no_room_for_a_request() -> None:
    one = governed(
        {"tokens_per_minute": 100},
        lanes={"high": {"deadline_s": 60, "reserve": 0.5}, "standard": {"deadline_s": 60}},
    )
    assert one.fitted(flow(lane="high"), Cost(60, 20, firm=True)) == Units(1, 60, 20)
    assert one.fitted(flow(lane="standard"), Cost(60, 20, firm=True)) is None


def test_a_key_is_told_apart_where_it_has_limits() -> None:
    ci, t = KeyName("ci"), Tenant("t")
    key = {"digest": "a" * 64, "name": "ci", "limits": {"input_tokens_per_minute": 100}}
    one = governed(tenants={"t": {"keys": [key, {"digest": "b" * 64, "name": "free"}]}})
    assert (one.deployments, one.counting) == ({"d", "e"}, {"m", "n"})
    assert [one.key(t, name) for name in (ci, KeyName("free"), NO_KEY)] == ["ci", "", ""]
    assert one.key(Tenant("u"), ci) == NO_KEY
    assert one.fitted(flow("t", key="ci"), Cost(101, 0, firm=False)) is None
    assert one.fitted(flow("t"), Cost(101, 7, firm=False)) == Units(1, 101, 7)
