"""`headrace cancel --tenant TENANT --id ID`: take back requests that a Kafka producer wrote itself.

Exit codes: 0 every dispatcher will know; 12 Kafka cannot be reached; 13 Kafka denies it; 14 Kafka
refused it; 78 the configuration cannot be used; 2 wrong arguments.
"""

import asyncio
import os
import time
from typing import Annotated

import typer
from aiokafka import AIOKafkaProducer

from headrace.cli.roles import ConfigFile, problems_shown
from headrace.cli.topics.admin import STEP_LIMIT_S, bounded_write, troubles_told
from headrace.cli.topics.errors import TopicsError
from headrace.dispatcher.kafka.closing import end_producer
from headrace.schemas.config.clients import client_options
from headrace.schemas.config.load import load
from headrace.schemas.config.model import Config
from headrace.schemas.headers import MAX_VALUE_BYTES
from headrace.schemas.names import DEFAULT_TENANT, RequestId, Tenant
from headrace.schemas.replies import Cancel, encode_cancel
from headrace.schemas.topics import DAY_MS, Topics
from headrace.schemas.wire import header_word

SOURCE = b"headrace-cancel"


def cancel(
    config: ConfigFile,
    ids: Annotated[
        list[str], typer.Option("--id", help="A request id; may be told more than once.")
    ],
    tenant: Annotated[
        str | None,
        typer.Option(
            help="Whose requests. May be left out where the configuration names no tenant but `default`."
        ),
    ] = None,
) -> None:
    """Take requests back that came over Kafka: not started any more, aborted if they run.

    An id is taken back of that tenant alone. Their owner gets the outcome `cancelled`. A cancel may come
    before its request; of one that has ended it changes nothing. Jobs are cancelled by
    `headrace jobs cancel`.
    """
    wrong = [
        one for one in ids if not one.isprintable() or not 0 < len(one.encode()) <= MAX_VALUE_BYTES
    ]
    if wrong:
        raise typer.BadParameter(f"{wrong[0]!r} cannot be a request id", param_hint="--id")
    with problems_shown():
        read = load(config, os.environ)
    now_ms = round(time.time() * 1000)
    cancels = cancels_of(read, _owner(read, tenant), [RequestId(one) for one in ids], now_ms)
    try:
        asyncio.run(write_cancels(read, cancels))
    except TopicsError as error:
        typer.echo(f"{error.code}: {error}", err=True)
        raise typer.Exit(error.exit_code) from None
    typer.echo(f"{len(ids)} {'cancel' if len(ids) == 1 else 'cancels'} written")


def cancels_of(config: Config, tenant: Tenant, ids: list[RequestId], now_ms: int) -> list[Cancel]:
    """A cancel for each id; they hold as long as any request can live."""
    longest_s = max(lane.max_deadline_s for lane in config.lanes.values())
    until_ms = now_ms + round(longest_s * 1000) + DAY_MS
    return [Cancel(one, until_ms, tenant) for one in ids]


def _owner(config: Config, tenant: str | None) -> Tenant:
    if tenant is not None:
        try:
            return Tenant(header_word(tenant.encode()))
        except ValueError:
            problem = f"{tenant!r} cannot be a tenant"
            raise typer.BadParameter(problem, param_hint="--tenant") from None
    others = sorted(set(config.tenants) - {DEFAULT_TENANT})
    if others:
        problem = f"needed here, as two tenants may use one id; configured: {', '.join(others)}"
        raise typer.BadParameter(problem, param_hint="--tenant")
    return DEFAULT_TENANT


async def write_cancels(config: Config, cancels: list[Cancel]) -> None:
    """Write them where every dispatcher reads them. Errors: `TopicsError`."""
    topic = Topics(config.kafka.topic_prefix).control
    producer = AIOKafkaProducer(**client_options(config.kafka), acks="all", enable_idempotence=True)
    with troubles_told(config.kafka):
        try:
            async with asyncio.timeout(STEP_LIMIT_S):
                await producer.start()
            async with bounded_write():
                acks = [
                    await producer.send(
                        topic,
                        b"",
                        key=one.id.encode(),
                        headers=encode_cancel(one, SOURCE),
                    )
                    for one in cancels
                ]
                await asyncio.gather(*acks)
        finally:
            await end_producer(producer)
