"""What every Kafka client of ours is given from the configuration: one place for all rooms."""

import ssl
from typing import Any

from headrace.schemas.config.model import KafkaConfig


def trusting(ca_file: str | None) -> ssl.SSLContext:
    """A context that trusts the authorities in this file. Raises `OSError` (`ssl.SSLError` is one)."""
    return ssl.create_default_context(cafile=ca_file)


def client_options(kafka: KafkaConfig) -> dict[str, Any]:
    """Keyword arguments that every aiokafka client shares. Raises `OSError` where the CA file is gone that
    `load` has looked at.
    """
    security = kafka.security
    options: dict[str, Any] = {
        "bootstrap_servers": list(kafka.bootstrap_servers),
        "security_protocol": security.protocol,
        "request_timeout_ms": round(kafka.request_timeout_s * 1000),
    }
    if security.protocol.endswith("SSL"):
        options["ssl_context"] = trusting(security.ca_file)
    if security.mechanism is not None:
        options["sasl_mechanism"] = security.mechanism
        options["sasl_plain_username"] = security.username
        if security.password is not None:
            options["sasl_plain_password"] = security.password.get_secret_value()
    return options
