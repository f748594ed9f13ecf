"""Limits that contradict one another are refused, with the line that says so."""

import pytest

from headrace.schemas.config.errors import ConfigInvalid
from headrace.schemas.config.load import parse

PLACE = '    upstream: {base_url: "https://example.com/v1"}'


def config(limits: str, rest: str = "", pool: str = "") -> str:
    return f"""\
deployments:
  - name: east
    model: m
{PLACE}
    limits: {{{limits}}}
{pool}
{rest}
"""


def problems(text: str) -> str:
    with pytest.raises(ConfigInvalid) as refused:
        parse(text, "headrace.yaml", {}, str)
    return "\n".join(map(str, refused.value.problems))


POOL = "    pool: account"
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
        (config("concurrency: 4", pool=POOL), "no pool is called account"),
        (
            config("concurrency: 4", "lanes: {a: {deadline_s: 9, reserve: 0.5},"
            " b: {deadline_s: 9, reserve: 0.5}}"),
            "all reserves together are above 0.9",
        ),
        (
            config("concurrency: 4", "tenants: {t: {limits: {output_tokens_per_minute: 9,"
            " tokens_per_minute: 8}}}"),
            "is above tokens_per_minute, 8",
        ),
    ],
)  # fmt: skip
def test_limits_that_cannot_be_meant_are_refused(text: str, says: str) -> None:
    assert says in problems(text)


def test_the_line_of_the_contradiction_is_named() -> None:
    told = problems(config("requests_per_minute: 51", ACCOUNT, POOL))
    assert "headrace.yaml:5" in told


def test_limits_that_agree_are_read() -> None:
    read = parse(config("requests_per_minute: 50", ACCOUNT, POOL), "headrace.yaml", {}, str)
    assert read.deployments[0].limits.requests_per_minute == 50
    assert read.deployments[0].limits.concurrency == 64
