"""How this room's Kafka clients connect, from the configuration."""

import ssl
from typing import Any

from headrace.schemas.config.model import KafkaConfig

MAX_REQUEST_BYTES = 8 * 1024 * 1024
"""Above the largest record limit (4 MiB and headers): the broker's limit decides, not the client's."""
MAX_PACKED_BYTES = 256 * 1024 * 1024
"""The same where records are compressed: the client looks at their size before that."""


def client_options(kafka: KafkaConfig) -> dict[str, Any]:
    """Keyword arguments that every aiokafka client shares."""
    security = kafka.security
    options: dict[str, Any] = {
        "bootstrap_servers": list(kafka.bootstrap_servers),
        "security_protocol": security.protocol,
        "request_timeout_ms": round(kafka.request_timeout_s * 1000),
    }
    if security.protocol.endswith("SSL"):
        options["ssl_context"] = ssl.create_default_context(cafile=security.ca_file)
    if security.mechanism is not None:
        options["sasl_mechanism"] = security.mechanism
        options["sasl_plain_username"] = security.username
        if security.password is not None:
            options["sasl_plain_password"] = security.password.get_secret_value()
    return options
