"""Hosts and ports as a configuration writes them."""

import ipaddress
from urllib.parse import urlsplit

MAX_PORT = 65_535
_EVERYWHERE = frozenset(("0.0.0.0", "[::]"))  # noqa: S104 - only compared with


def is_loopback(host: str | None) -> bool:
    """Whether `host`, without brackets, is this machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def host_of(url: str) -> str | None:
    """The host of a URL; None where none can be read."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def on_loopback(url: str) -> bool:
    """Whether `url` leads to this machine itself."""
    return is_loopback(host_of(url))


def with_a_port(address: str) -> str:
    """An address of the form `host:port` whose port can be. Raises `ValueError`."""
    if int(address.rpartition(":")[2]) > MAX_PORT:
        raise ValueError(f"has a port above {MAX_PORT}")
    return address


def clash(one: str, other: str) -> bool:
    """Whether nobody can listen at both addresses; port 0 is any that is free."""
    host, _, port = one.rpartition(":")
    other_host, _, other_port = other.rpartition(":")
    if int(port) != int(other_port) or not int(port):
        return False
    return host == other_host or not _EVERYWHERE.isdisjoint((host, other_host))
