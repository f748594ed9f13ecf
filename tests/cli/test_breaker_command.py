"""`headrace breaker` without anything that runs: versions, and changes of several at once."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from headrace.cli.breaker import command
from headrace.cli.breaker.command import set_breakers
from headrace.cli.localkafka import LocalKafka
from headrace.cli.settings.errors import Conflict
from headrace.cli.topics.command import read_changes
from headrace.schemas.breakers import State
from headrace.schemas.config.load import load
from headrace.schemas.config.model import Config
from headrace.schemas.settings import Breaker
from support.commands import headrace
from support.dead_letters import config_file


@pytest.mark.asyncio(loop_scope="session")
async def test_show_tells_the_version_that_seen_is_compared_with(
    kafka: LocalKafka, topic_prefix: str, tmp_path: Path
) -> None:
    file = config_file(tmp_path, kafka.bootstrap, topic_prefix)
    await read_changes(load(file, {}), apply=True)
    config = ("--config", str(file))

    async def shown() -> int:
        code, printed, told = await headrace("breaker", "show", *config, "--output", "json")
        assert code == 0, told
        (row,) = json.loads(printed)
        return int(row["version"])

    assert await shown() == 0
    assert (await headrace("breaker", "force", "m", "open", "--seen", "0", *config))[0] == 0
    assert await shown() == 1
    assert (await headrace("breaker", "reset", "m", "--seen", "0", *config))[0] == 17
    assert (await headrace("breaker", "reset", "m", "--seen", "1", *config))[0] == 0
    assert b"version" in (await headrace("breaker", "show", *config))[1]


class Contested:
    """Somebody else changes `west` at the same moment."""

    def version(self, _place: str, _seen: int | None) -> int:
        return 1

    async def write(self, setting: Breaker) -> Breaker:
        if setting.deployment == "west":
            raise Conflict("breaker/west was changed meanwhile")
        return setting


async def test_a_conflict_names_what_was_set_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def desk(_config: Config) -> AsyncIterator[Any]:
        yield Contested()

    monkeypatch.setattr(command, "open_desk", desk)
    upstream = {"base_url": "http://m/v1"}
    config = Config.model_validate(
        {"deployments": [{"name": "m", "model": "m", "upstream": upstream}]}
    )

    def wanted(*names: str) -> list[Breaker]:
        return [Breaker(version=1, deployment=one, state=State.DISABLED) for one in names]

    with pytest.raises(Conflict, match=r"west was changed .*; set before that, and kept: east, m$"):
        await set_breakers(config, wanted("east", "m", "west", "last"), None)
    with pytest.raises(Conflict, match=r"meanwhile$"):
        await set_breakers(config, wanted("west", "east"), None)
