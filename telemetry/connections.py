"""A connection to Kafka that was cut a moment ago: whoever writes to it is told so as of any other.

aiokafka takes an `OSError` for that. uvloop raises `RuntimeError` where the other side has reset a connection
and the task that reads it has not run since. It ended the task of a client that reads metadata, unseen, and
whoever waited for metadata then waited for ever: after all brokers had been killed, a dispatcher's
journal stood still now and then, with all that it owned.
"""

from collections.abc import Awaitable, Callable

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

_send: Callable[..., Awaitable[object]] = AIOKafkaConnection.send


def tell_of_cut_connections() -> None:
    """For all clients of this process; call before they connect."""
    AIOKafkaConnection.send = _send_if_open  # type: ignore[assignment, method-assign]


def _send_if_open(
    connection: AIOKafkaConnection, request: object, *, expect_response: bool = True
) -> Awaitable[object]:
    writer = connection._writer  # noqa: SLF001
    if writer is not None and writer.transport.is_closing():
        connection.close(reason=CloseReason.CONNECTION_BROKEN)
        raise KafkaConnectionError(f"{connection.host}:{connection.port} was cut")
    return _send(connection, request, expect_response=expect_response)
