"""Secrets come from the environment or from files, and never show."""

import traceback

import pytest

from headrace.schemas.config.errors import ConfigInvalid, ProblemCode
from headrace.schemas.config.load import parse
from headrace.schemas.config.model import Config

CANARY = "canary-7f3a"


def text(api_key: str, more: str = "") -> str:
    return f"""\
deployments:
- name: east
  model: gpt-4o
  upstream:
    base_url: https://api.example.com/v1
    api_key: {api_key}
{more}
"""


def read_secret(name: str) -> str:
    files = {"/run/secrets/key": "from-file\n", "/empty": "\n", "/long": "x" * 70_000}
    if name == "/binary":
        return b"\xff".decode()
    if name not in files:
        raise FileNotFoundError(2, "No such file or directory", name)
    return files[name]


def key_of(config: Config) -> str:
    api_key = config.deployments[0].upstream.api_key
    assert api_key is not None
    return api_key.get_secret_value()


def parsed(api_key: str, more: str = "", **environ: str) -> Config:
    return parse(text(api_key, more), "c.yaml", environ, read_secret)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("${env:KEY}", "from-env"),
        ("os.environ/KEY", "from-env"),
        ("${file:/run/secrets/key}", "from-file"),
        ('"sk-${env:KEY}-${file:/run/secrets/key}"', "sk-from-env-from-file"),
        ("'${env:KEY}$${env:KEY}'", "from-env${env:KEY}"),
    ],
)
def test_a_reference_is_replaced_by_what_it_names(written: str, meant: str) -> None:
    assert key_of(parsed(written, KEY="from-env")) == meant


def test_a_value_that_looks_like_a_reference_is_not_followed_again() -> None:
    assert key_of(parsed("${env:KEY}", KEY="${env:OTHER}")) == "${env:OTHER}"


def test_a_reference_may_stand_for_any_value() -> None:
    config = parsed("${env:KEY}", "ingress: {max_waiters: '${env:N}'}", KEY="k", N="7")
    assert config.ingress.max_waiters == 7


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("${env:NOPE}", "the environment variable NOPE is not set"),
        ("os.environ/NOPE", "the environment variable NOPE is not set"),
        ("${file:/nope}", "cannot read /nope: No such file or directory"),
        ("${file:/binary}", "cannot read /binary: not UTF-8"),
        ("${file:/long}", "/long is longer than"),
        ("${file:/empty}", "is empty"),
        ("${NOPE}", "a reference is ${env:NOPE} or"),
        ("'${env:NOPE'", "a reference is ${env:NAME} or"),
    ],
)
def test_a_missing_secret_names_the_variable_and_the_line(written: str, message: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        parsed(written)
    (problem,) = caught.value.problems
    assert problem.code is ProblemCode.SECRET_MISSING
    assert str(problem).startswith(f"c.yaml:6: deployments[0].upstream.api_key: {message}")


@pytest.mark.parametrize("written", [CANARY, f"$${{{CANARY}}}"])
def test_a_secret_in_plain_text_is_refused(written: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        parsed(written)
    (problem,) = caught.value.problems
    assert problem.code is ProblemCode.SECRET_PLAIN
    assert CANARY not in str(problem)


def test_development_allows_a_secret_in_plain_text() -> None:
    assert key_of(parsed(CANARY, "development: true")) == CANARY


def test_an_override_is_not_in_plain_text() -> None:
    name = "HEADRACE__DEPLOYMENTS__0__UPSTREAM__API_KEY"
    assert key_of(parsed("${env:NOPE}", **{name: CANARY})) == CANARY


@pytest.mark.parametrize(
    "more",
    [
        "ingress: {listen: '${env:KEY}', drain_s: '${env:KEY}', max_waiters: '${env:KEY}'}",
        "auth: {mode: '${env:KEY}'}",
        "kafka: {topic_prefix: '${env:KEY}/', bootstrap_servers: ['${env:KEY}']}",
        "kafka: '${env:KEY}'",
        f"{CANARY}: [",
        f"ingress: {{drain_s: {CANARY}",
        f"auth: {{pepper: [{CANARY}]}}",
    ],
)
def test_no_value_shows_in_an_error(more: str) -> None:
    with pytest.raises(Exception, match=r"c\.yaml") as caught:
        parsed("${env:KEY}", more, KEY=CANARY)
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_no_secret_shows_in_the_configuration() -> None:
    config = parsed("${env:KEY}", KEY=CANARY)
    assert CANARY not in repr(config)
    assert CANARY not in config.model_dump_json()


SASL = "kafka: {security: {%s, mechanism: PLAIN, username: u, password: '${env:KEY}'}}"


def test_a_password_without_tls_is_refused() -> None:
    with pytest.raises(ConfigInvalid, match=r"kafka\.security\.protocol: sends the password"):
        parsed("${env:KEY}", SASL % "protocol: SASL_PLAINTEXT", KEY="k")


@pytest.mark.parametrize("allowed", ["development: true", ""])
def test_a_password_without_tls_can_be_allowed(allowed: str) -> None:
    flag = "" if allowed else ", allow_insecure: true"
    more = SASL % f"protocol: SASL_PLAINTEXT{flag}" + "\n" + allowed
    assert parsed("${env:KEY}", more, KEY="k").kafka.security.username == "u"


@pytest.mark.parametrize(
    ("security", "message"),
    [
        ("protocol: SASL_SSL", "kafka.security.mechanism: SASL_SSL needs it"),
        ("password: '${env:KEY}'", "kafka.security.protocol: PLAINTEXT proves no password"),
    ],
)
def test_half_a_login_is_refused(security: str, message: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        parsed("${env:KEY}", f"kafka: {{security: {{{security}}}}}", KEY="k")
    assert message in str(caught.value)


def test_a_base_url_cannot_hold_a_password() -> None:
    with pytest.raises(ConfigInvalid, match="a base URL has no user") as caught:
        parse(
            text("${env:KEY}").replace("https://", f"https://u:{CANARY}@"),
            "c.yaml",
            {"KEY": "k"},
            read_secret,
        )
    assert CANARY not in str(caught.value)
