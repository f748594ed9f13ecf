"""Reading a configuration: every problem at once, each with its place, none with a secret."""

from itertools import pairwise
from pathlib import Path
from textwrap import dedent

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.config.errors import (
    EX_CONFIG,
    ConfigError,
    ConfigInvalid,
    ConfigMalformed,
    ConfigUnreadable,
    ProblemCode,
)
from headrace.schemas.config.load import MAX_PROBLEMS, examine, load, parse, read
from headrace.schemas.config.model import Config
from headrace.schemas.names import Tenant

DEPLOYMENT = """
deployments:
- name: east
  model: gpt-4o
  upstream: {base_url: "https://api.example.com/v1"}
"""
NO_FILES: dict[str, str] = {}


def config(text: str, **environ: str) -> Config:
    return parse(dedent(text) + DEPLOYMENT, "c.yaml", environ, NO_FILES.__getitem__)


def problems(text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigInvalid) as caught:
        config(text, **environ)
    return str(caught.value).splitlines()


def test_deployments_alone_are_a_configuration() -> None:
    found = config("")
    assert [*found.lanes] == ["interactive", "standard", "batch"]
    assert found.lane_by_default == "standard"


def test_all_problems_are_reported_at_once_in_the_order_of_the_file() -> None:
    found = problems(
        """\
        ingress:
          listn: 127.0.0.1:80
          drain_s: soon
        default_lane: interctive
        auth: {mode: keys}
        """
    )
    assert found == [
        "c.yaml:2: ingress.listn: unknown key; did you mean listen?",
        "c.yaml:3: ingress.drain_s: should be a number",
        "c.yaml:4: default_lane: no lane is called interctive; did you mean interactive?",
        "c.yaml:5: auth.pepper: mode keys needs it",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("kafka: 7", "c.yaml:1: kafka: should be a mapping of keys to values"),
        ("lanes: {Batch: {deadline_s: 1}}", "c.yaml:1: lanes.Batch: should be a name of small"),
        ("lanes: {a: {deadline_s: 0}}", "c.yaml:1: lanes.a.deadline_s: should be greater than 0"),
        ("lanes: {a: {}}", "c.yaml:1: lanes.a.deadline_s: is required"),
        ("lanes: {a: {deadline_s: 9, longest_s: 8}}", "c.yaml:1: lanes.a.longest_s: is below"),
        ("kafka: {bootstrap_servers: [here]}", "kafka.bootstrap_servers[0]: should be host:port"),
        ("kafka: {bootstrap_servers: []}", "kafka.bootstrap_servers: "),
        (
            "kafka: {replication_factor: 1}",
            "kafka.min_insync_replicas: is above replication_factor",
        ),
        ("dispatcher: {heartbeat_s: 5}", "dispatcher.heartbeat_s: is above a third"),
        ("models: {gpt-4.1: {}}", 'models["gpt-4.1"]: no deployment serves gpt-4.1'),
        (
            "tenants: {a: {lanes: [btch]}}",
            "tenants.a.lanes[0]: no lane is called btch; did you mean",
        ),
        ("tenants: {a: {models: [gpt4o]}}", "tenants.a.models[0]: no deployment serves gpt4o"),
        ("tenants: {a: {keys: [nonsense]}}", "tenants.a.keys[0].digest: should be a key's digest"),
        ("tenants: {'a/b': {}}", 'tenants["a/b"]: should be a name of letters'),
        ("development: perhaps", "c.yaml:1: development: should be true or false"),
        (
            "kafka: {bootstrap_servers: ['a:1', 'b:65536']}",
            "c.yaml:1: kafka.bootstrap_servers[1]: has a port above 65535",
        ),
        ("ingress: {listen: 'h:99999'}", "c.yaml:1: ingress.listen: has a port above 65535"),
        (
            "ingress:\n  listen: 'h:80'\n  metrics_listen: 'h:80'",
            "c.yaml:3: ingress.metrics_listen: is the same as listen",
        ),
        (
            "ingress: {listen: '127.0.0.1:9090'}",
            "c.yaml:1: ingress.metrics_listen: is the same as listen",
        ),
    ],
)
def test_a_value_that_does_not_hold_is_told_with_its_place(text: str, problem: str) -> None:
    assert problem in "\n".join(problems(text))


def test_two_tenants_cannot_have_the_same_key() -> None:
    key = "0" * 64
    found = problems(f"tenants:\n  a: {{keys: ['{key}']}}\n  b: {{keys: ['{key}']}}")
    assert found == ["c.yaml:3: tenants.b.keys[0]: the same key as tenant a has"]


def test_two_deployments_cannot_have_the_same_name() -> None:
    twice = DEPLOYMENT + DEPLOYMENT.replace("deployments:\n", "").lstrip("\n")
    with pytest.raises(
        ConfigInvalid, match=r"c\.yaml:6: deployments\[1\]\.name: a second deployment"
    ):
        parse(twice, "c.yaml", {}, str)


def test_a_key_that_stands_twice_names_both_lines() -> None:
    found = problems("auth:\n  mode: open\n  mode: keys\n")
    assert found == ["c.yaml:3: auth.mode: stands twice, first at c.yaml:2"]


def test_scalars_stay_what_was_written_where_text_is_wanted() -> None:
    text = DEPLOYMENT.replace("gpt-4o", "2024-07-18").replace("east", "0123")
    deployment = parse(text, "c.yaml", {}, str).deployments[0]
    assert (deployment.model, deployment.name) == ("2024-07-18", "0123")


def test_a_section_with_nothing_below_it_says_nothing() -> None:
    found = config("kafka:\ntenants:\n  acme:\n")
    assert found.kafka == Config.model_fields["kafka"].default
    assert found.tenants[Tenant("acme")].models == ["*"]


def test_anchors_and_merges_are_followed() -> None:
    found = config(
        """\
        tenants:
          acme: &base {models: [gpt-4o], lanes: [batch]}
          beta: {<<: *base, lanes: [standard]}
        """
    )
    assert found.tenants[Tenant("beta")].models == ["gpt-4o"]
    assert found.tenants[Tenant("beta")].lanes == ["standard"]


def test_problems_in_masses_are_cut() -> None:
    found = problems("tenants: {a: {lanes: [" + "x," * 500 + "]}}")
    assert len(found) == MAX_PROBLEMS + 1
    assert found[-1] == "and 400 more"


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{below}'] * 9)}]\n" for below, name in pairwise("abcdefghi")
)
MALFORMED = {
    "tab": ("kafka:\n\ttopic_prefix: x", "c.yaml:2: a tab stands where YAML wants spaces"),
    "bomb": (BOMB, "more than 100000 values"),
    "deep": ("a: " + "[" * 5000 + "]" * 5000, "nested deeper than 32 levels"),
    "deep, closed by lines": ("a: " + "[" * 40 + "]" * 40, "c.yaml:1: nested deeper than 32"),
    "recursive": ("a: &a [*a]", "nested deeper than 32 levels"),
    "long": ("#" * 2_000_000, "longer than 1048576 characters"),
    "a list": ("- a\n- b", "c.yaml:1: a configuration is a mapping"),
    "a tag": ("a: !!python/object:os.system x", "c.yaml:1: the tag python/object:os.system"),
    "two documents": ("a: 1\n---\nb: 2", "c.yaml:2: "),
    "a key that is a list": ("? [a]\n: b", "c.yaml:1: a key is plain text"),
    "a control character": ("a: 1\nb: \x07", "c.yaml:2: a control character"),
    "an unknown alias": ("a: *b", "c.yaml:1: found undefined alias"),
    "not YAML": ("a: b: c", "c.yaml:1: mapping values are not allowed here"),
    "a merge of a text": ("a: {<<: b}", "c.yaml:1: only a mapping can be merged in"),
}


@pytest.mark.parametrize(("text", "message"), MALFORMED.values(), ids=MALFORMED.keys())
def test_yaml_that_we_do_not_read_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ConfigMalformed) as caught:
        parse(text, "c.yaml", {}, str)
    assert message in str(caught.value)


@given(st.text() | st.recursive(st.none() | st.text(), st.lists).map(yaml.safe_dump))
def test_no_text_raises_anything_but_a_config_error(text: str) -> None:
    with pytest.raises(ConfigError):
        parse(text, "c.yaml", {}, str)


KEYS = st.sampled_from([*Config.model_fields, "name", "model", "deadline_s", "0", "<<"])
VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("${env:X}")
TREES = st.recursive(
    VALUES, lambda v: st.lists(v, max_size=3) | st.dictionaries(KEYS, v, max_size=4), max_leaves=12
)


@given(st.dictionaries(KEYS, TREES, max_size=5))
def test_no_tree_raises_anything_but_a_config_error(tree: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        parse(yaml.safe_dump(tree), "c.yaml", {}, str)


def test_a_file_that_is_not_there_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(ConfigUnreadable, match=r"cannot be read: No such file"):
        load(tmp_path / "c.yaml", {})


def test_a_file_that_is_not_utf8_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(ConfigUnreadable, match=r"c\.yaml:2: not UTF-8"):
        load(path, {})


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(DEPLOYMENT, encoding="utf-8-sig")
    assert load(path, {}).deployments[0].name == "east"


def test_files_of_secrets_count_from_the_folder_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "pepper").write_text("p-1\n", encoding="utf-8")
    path = tmp_path / "c.yaml"
    path.write_text("auth: {pepper: '${file:pepper}'}" + DEPLOYMENT, encoding="utf-8")
    pepper = examine(path, {}).config.auth.pepper
    assert pepper is not None
    assert pepper.get_secret_value() == "p-1"


def test_what_is_allowed_but_looks_like_a_mistake_is_a_warning() -> None:
    text = DEPLOYMENT.replace("https", "http").replace("}", ", api_key: '${env:K}'}")
    reading = read(text + "tenants: {a: {models: ['claude-*']}}", "c.yaml", {"K": "k"}, str)
    assert [str(warning) for warning in reading.warnings] == [
        "c.yaml:6: tenants.a.models[0]: claude-* matches no model that is served",
        "c.yaml:5: deployments[0].upstream.base_url: sends the API key without TLS",
        "c.yaml: auth.mode: open: whoever reaches the port may call",
    ]


def test_the_exit_code_is_that_of_sysexits() -> None:
    assert {error.exit_code for error in (ConfigError, *ConfigError.__subclasses__())} == {
        EX_CONFIG
    }


def test_every_error_has_a_code_of_its_own() -> None:
    codes = {error.code for error in ConfigError.__subclasses__()}
    assert codes == {"config_unreadable", "config_malformed", "config_invalid"}


def test_a_problem_tells_its_code() -> None:
    with pytest.raises(ConfigInvalid) as caught:
        config("nonsense: 1")
    assert [problem.code for problem in caught.value.problems] == [ProblemCode.UNKNOWN_KEY]
