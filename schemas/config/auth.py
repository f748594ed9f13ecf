"""The section about who may call."""

from typing import Literal

from pydantic import SecretStr

from headrace.schemas.config.section import Section


class AuthConfig(Section):
    """`open`: one tenant, no key (development). `keys`: every request carries a key of a tenant."""

    mode: Literal["open", "keys"] = "open"
    """Who may call."""
    pepper: SecretStr | None = None
    """Key of the HMAC over API keys; needed with `keys`. A new pepper makes all keys void."""
