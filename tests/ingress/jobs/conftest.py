"""Two replicas of a real ingress on the real Kafka."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest_asyncio

from headrace.cli.localkafka import LocalKafka
from support.answering import AnsweringDispatcher, Answers
from support.eventually import eventually
from support.jobs import Pair, PairUp, ready
from support.serving import create_topics, ingress_config, serving, url


@pytest_asyncio.fixture
async def pair_up(kafka: LocalKafka, topic_prefix: str, tmp_path: Path) -> AsyncIterator[PairUp]:
    """`await pair_up(answer, **config sections)`: a `Pair`, ready, indexes included."""
    async with AsyncExitStack() as exits:

        async def make(answer: Answers, **sections: Any) -> Pair:
            told = {"index_dir": str(tmp_path), **sections.pop("ingress", {})}
            config = ingress_config(kafka.bootstrap, topic_prefix, ingress=told, **sections)
            await create_topics(config)
            dispatcher = await exits.enter_async_context(AnsweringDispatcher(config, answer))
            pair = Pair(dispatcher, [], [])
            for _ in range(2):
                ingress = await exits.enter_async_context(serving(config))
                pair.ingresses.append(ingress)
                client = httpx.AsyncClient(base_url=url(ingress), timeout=60)
                pair.http.append(await exits.enter_async_context(client))
            for http in pair.http:
                await eventually(lambda http=http: ready(http))
            return pair

        yield make
