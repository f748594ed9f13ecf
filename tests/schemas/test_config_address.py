"""Addresses and files that nobody could connect with: found when the configuration is read."""

from pathlib import Path

import pytest

from headrace.schemas.config.errors import ConfigInvalid
from headrace.schemas.config.load import load, parse

DEPLOYMENT = """
deployments:
- name: east
  model: gpt-4o
  upstream: {base_url: "https://api.example.com/v1"}
"""


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://[::1/v1", "Invalid IPv6 URL"),
        ("https://a.example:65536/v1", "Port out of range 0-65535"),
        ("https://a.example:0/v1", "a base URL has a host, and a port that can be"),
        ("https:///v1", "a base URL has a host, and a port that can be"),
    ],
)
def test_a_base_url_that_leads_nowhere_is_told_with_its_place(url: str, says: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        parse(DEPLOYMENT.replace("https://api.example.com/v1", url), "c.yaml", {}, str)
    assert str(caught.value) == f"c.yaml:5: deployments[0].upstream.base_url: {says}"


def test_addresses_that_differ_may_stand_side_by_side() -> None:
    """Port 0 is one that is free; a port may be used on two addresses of one machine."""
    for listen, metrics in (("h:0", "h:0"), ("h:1", "i:1"), ("0.0.0.0:1", "0.0.0.0:2")):
        text = f"ingress: {{listen: '{listen}', metrics_listen: '{metrics}'}}"
        parse(text + DEPLOYMENT, "c.yaml", {}, str)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot read {}: No such file or directory"),
        ("garbage", "{} holds no certificates in PEM"),
        ("", "{} holds no certificates in PEM"),
    ],
)
def test_a_file_of_authorities_that_is_of_no_use_is_told_with_its_place(
    content: str | None, says: str, tmp_path: Path
) -> None:
    """Every role died of it later, without the name of the file."""
    authorities, path = tmp_path / "ca.pem", tmp_path / "c.yaml"
    if content is not None:
        authorities.write_text(content, encoding="utf-8")
    security = f"kafka:\n  security:\n    protocol: SSL\n    ca_file: {authorities}"
    path.write_text(security + DEPLOYMENT, encoding="utf-8")
    with pytest.raises(ConfigInvalid) as caught:
        load(path, {})
    assert str(caught.value) == f"{path}:4: kafka.security.ca_file: {says.format(authorities)}"
    path.write_text(security.replace("SSL", "PLAINTEXT") + DEPLOYMENT, encoding="utf-8")
    assert load(path, {}).kafka.security.ca_file == str(authorities)
