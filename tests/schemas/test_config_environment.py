"""Overrides from the environment stand above the file."""

import pytest

from headrace.schemas.config.errors import ConfigInvalid
from headrace.schemas.config.load import parse
from headrace.schemas.config.model import Config
from headrace.schemas.names import LaneName, ModelName, Tenant

TEXT = """\
lanes: {interactive: {deadline_s: 60}, batch: {deadline_s: 600}}
models: {gpt-4.1: {retry: {attempts: 2}}}
deployments:
- {name: openai-east, model: gpt-4.1, upstream: {base_url: "https://east.example.com"}}
- {name: openai-west, model: gpt-4.1, upstream: {base_url: "https://west.example.com"}}
"""


def config(text: str = TEXT, **environ: str) -> Config:
    overrides = {f"HEADRACE__{name}": value for name, value in environ.items()}
    return parse(text, "c.yaml", overrides, str)


def test_a_value_of_a_section_is_overridden() -> None:
    assert config(INGRESS__LISTEN="127.0.0.1:1").ingress.listen == "127.0.0.1:1"


def test_names_are_compared_without_case_and_signs() -> None:
    found = config(models__gpt_4_1__Retry__attempts="5", LANES__BATCH__DEADLINE_S="7")
    assert found.models[ModelName("gpt-4.1")].retry.attempts == 5
    assert [*found.lanes] == ["interactive", "batch"]
    assert found.lanes[LaneName("batch")].deadline_s == 7


@pytest.mark.parametrize("entry", ["1", "OPENAI_WEST"])
def test_an_entry_of_a_list_is_reached_by_index_or_name(entry: str) -> None:
    found = config(**{f"DEPLOYMENTS__{entry}__WEIGHT": "9"})
    assert [deployment.weight for deployment in found.deployments] == [1, 9]


def test_the_next_index_appends() -> None:
    whole = '{name: new, model: m, upstream: {base_url: "https://new.example.com"}}'
    found = config(DEPLOYMENTS__2=whole, DEPLOYMENTS__2__WEIGHT="4")
    assert (found.deployments[2].name, found.deployments[2].weight) == ("new", 4)


def test_a_default_that_has_names_is_kept_where_one_is_overridden() -> None:
    found = config(TEXT.split("\n", 1)[1], LANES__BATCH__DEADLINE_S="7")
    assert [*found.lanes] == ["interactive", "standard", "batch"]
    assert found.lanes[LaneName("batch")].deadline_s == 7


@pytest.mark.parametrize("value", ["a:1,b:2", '["a:1", "b:2"]', " a:1 , b:2 "])
def test_a_list_of_texts_is_written_with_commas_or_as_yaml(value: str) -> None:
    assert config(KAFKA__BOOTSTRAP_SERVERS=value).kafka.bootstrap_servers == ["a:1", "b:2"]


def test_an_item_of_a_list_of_texts_is_overridden() -> None:
    text = TEXT + "kafka: {bootstrap_servers: ['a:1', 'b:2']}"
    assert config(text, KAFKA__BOOTSTRAP_SERVERS__1="c:3").kafka.bootstrap_servers == ["a:1", "c:3"]


def test_the_whole_configuration_can_come_from_the_environment() -> None:
    upstream = '[{name: a, model: m, upstream: {base_url: "https://a.example.com"}}]'
    assert config("", DEPLOYMENTS=upstream).deployments[0].name == "a"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("INGRES__LISTEN", "x", "no key is called ingres; did you mean ingress?"),
        ("INGRESS__LISTEN__X", "x", "nothing can be called x inside a single value"),
        ("DEPLOYMENTS__NORTH__WEIGHT", "1", "no entry is called north"),
        ("DEPLOYMENTS__7__WEIGHT", "1", "no entry is called 7"),
        ("KAFKA", "localhost", "write the whole value as YAML in one line"),
        ("KAFKA", "{a: [", "while parsing"),
        ("INGRESS__DRAIN_S", "soon", "ingress.drain_s: should be a number"),
        ("", "x", "no key is called "),
    ],
)
def test_an_override_that_leads_nowhere_names_the_variable(
    name: str, value: str, message: str
) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        config(**{name: value})
    assert str(caught.value).startswith(f"environment variable HEADRACE__{name}")
    assert message in str(caught.value)


def test_other_variables_are_left_alone() -> None:
    assert parse(TEXT, "c.yaml", {"HEADRACE_CONFIG": "x", "HEADRACE_SERVICE_HOST": "y"}, str)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KEYS", f"{'a' * 64}, {'b' * 64}"),
        ("KEYS__1", "b" * 64),
        ("KEYS__1", f"{{digest: {'b' * 64}, name: ci}}"),
    ],
)
def test_keys_of_a_tenant_are_written_as_texts_or_as_yaml(name: str, value: str) -> None:
    text = TEXT + f"tenants: {{t: {{keys: [{'a' * 64}]}}}}"
    found = config(text, **{f"TENANTS__T__{name}": value})
    assert [one.digest for one in found.tenants[Tenant("t")].keys] == ["a" * 64, "b" * 64]
