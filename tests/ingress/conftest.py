"""A real ingress on the real Kafka, with a test dispatcher behind it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import httpx
import pytest
import pytest_asyncio

from headrace.cli.localkafka import LocalKafka
from headrace.ingress.app import Ingress
from support.answering import AnsweringDispatcher, Answers, answered
from support.eventually import eventually
from support.serving import create_topics, ingress_config, serving, url


class Stand(NamedTuple):
    """An ingress, the dispatcher that answers it, and a client."""

    ingress: Ingress
    dispatcher: AnsweringDispatcher
    http: httpx.AsyncClient


StandUp = Callable[..., Any]


@pytest_asyncio.fixture
async def stand_up(kafka: LocalKafka, topic_prefix: str) -> AsyncIterator[StandUp]:
    """`await stand_up(answer, **config sections)`: a `Stand`, ready."""
    async with AsyncExitStack() as exits:

        async def make(answer: Answers, **sections: Any) -> Stand:
            config = ingress_config(kafka.bootstrap, topic_prefix, **sections)
            await create_topics(config)
            dispatcher = await exits.enter_async_context(AnsweringDispatcher(config, answer))
            ingress = await exits.enter_async_context(serving(config))
            http = await exits.enter_async_context(
                httpx.AsyncClient(base_url=url(ingress), timeout=60)
            )

            async def ready() -> bool:
                return (await http.get("/readyz")).status_code == 200

            await eventually(ready)
            return Stand(ingress, dispatcher, http)

        yield make


@pytest.fixture
def echo() -> Answers:
    """Answers with the body of the request."""
    return lambda request: [answered(request, request.body)]
