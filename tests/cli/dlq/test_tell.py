"""What a terminal shows while dead letters are read, and when a question is asked."""

import sys
from collections.abc import AsyncGenerator, Callable

import pytest

from headrace.cli.dlq import tell
from headrace.cli.dlq.replays import Plan
from headrace.cli.dlq.selection import Filter
from headrace.cli.dlq.shelf import Progress
from headrace.cli.dlq.work import Done, Order
from headrace.cli.topics.command import Output
from headrace.schemas.config.model import Config

QUESTION = "Replay 2 dead letters?"


async def replays(
    _config: Config, _order: Order, confirm: Callable[[int], None], progress: Progress
) -> AsyncGenerator[Done, None]:
    """Two letters were read, and nothing is written."""
    progress(1, 2)
    confirm(2)
    for _ in ():
        yield _


async def test_nothing_wipes_the_question_away(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(tell, "replays_of", replays)
    config = Config.model_validate(
        {"deployments": [{"name": "m", "model": "m", "upstream": {"base_url": "http://m/v1"}}]}
    )
    order = Order(wanted=Filter(), plan=Plan(), limit=10)

    def ask(_count: int) -> None:
        sys.stderr.write(QUESTION)

    await tell.perform(config, order, ask, Output.TABLE)
    before, question, after = capsys.readouterr().err.partition(QUESTION)
    assert "reading dead letters" in before
    assert question
    assert after == "0 replayed\n"
