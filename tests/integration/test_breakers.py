"""Breakers with everything real: an outage is seen by all dispatchers at once, and nobody loses a request."""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any, Self

import pytest
import pytest_asyncio

from headrace.cli.localkafka import LocalKafka
from headrace.schemas.breakers import State, Transition, Why
from support.breaking import history, row, state
from support.commands import headrace
from support.eventually import eventually
from support.http_client import Answered, Client
from support.installation import Installation, chat, installation
from support.switched import SwitchedUpstream

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(240)]

PER_S = 20
MOST_FAILED = 150
"""Of hundreds: how few they are on a machine that is not busy is measured elsewhere."""
PROBES = 3


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def upstream() -> AsyncIterator[SwitchedUpstream]:
    """All deployments' upstream."""
    async with SwitchedUpstream() as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(
    kafka: LocalKafka, upstream: SwitchedUpstream, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    """Two dispatchers and a governor; a model with two deployments and one with one, quick to come back."""

    def place(name: str, model: str) -> dict[str, object]:
        limits = {"requests_per_minute": 6_000} if model.startswith("limited") else {}
        there = {"base_url": upstream.base_url(name)}
        return {"model": model, "upstream": there, "limits": limits}

    models = {
        "east": "pair",
        "west": "pair",
        "lone": "lone",
        "held": "held",
        "unpaid": "billed",
        "north": "limited-pair",
        "south": "limited-pair",
        "solo": "limited-lone",
    }
    async with installation(
        kafka.bootstrap,
        tmp_path_factory.mktemp("breakers"),
        models={name: place(name, model) for name, model in models.items()},
        dispatchers=2,
        governor=True,
        overlay={"breaker": {"open_s": 4, "ramp_step_s": 1, "probe_s": 5}},
    ) as one:
        await eventually(lambda: state(one, "east"), within_s=30, every_s=0.2)
        yield one


class Stream:
    """Requests at a steady pace while the block lasts; afterwards `answers` has all."""

    def __init__(self, client: Client, model: str) -> None:
        self._client = client
        self._model = model
        self._asked: list[asyncio.Task[Answered]] = []
        self.answers: list[Answered] = []

    async def __aenter__(self) -> Self:
        self._sending = asyncio.create_task(self._send())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._sending
        self.answers = await asyncio.gather(*self._asked)

    @property
    def statuses(self) -> Counter[int]:
        return Counter(answer.status for answer in self.answers)

    async def _send(self) -> None:
        number = 0
        while True:
            number += 1
            body = chat(f"{number}", self._model)
            self._asked.append(asyncio.create_task(self._client.ask(body)))
            await asyncio.sleep(1 / PER_S)


def probes_by_round(upstream: SwitchedUpstream, place: str, past: list[Transition]) -> list[int]:
    """How many calls a place got in each half-open time, between the two transitions around it."""
    return [
        sum(one.at_ms <= call.at_ms < following.at_ms for call in upstream.at(place))
        for one, following in pairwise(past)
        if one.after is State.HALF_OPEN
    ]


async def closed_again(running: Installation, deployment: str) -> list[Transition]:
    """Its history, once its breaker has opened and closed."""

    async def done() -> list[Transition]:
        past = await history(running, deployment)
        return past if past and past[-1].after is State.CLOSED and past[-1].trips else []

    return await eventually(done, within_s=90, every_s=0.5)


@pytest.mark.parametrize(
    ("model", "failing", "other"), [("pair", "east", "west"), ("limited-pair", "north", "south")]
)
async def test_an_outage_of_one_deployment_moves_all_traffic_to_the_other(
    running: Installation, upstream: SwitchedUpstream, model: str, failing: str, other: str
) -> None:
    async with Client(running.url) as client, Stream(client, model) as stream:
        await eventually(lambda: len(upstream.at(failing)) > PER_S, within_s=30)
        upstream.answers[failing] = 503
        await eventually(lambda: _is(running, failing, State.OPEN), within_s=30, every_s=0.1)
        failed = upstream.failed(failing)
        moved = len(upstream.at(other))
        await eventually(lambda: len(upstream.at(other)) > moved + 2 * PER_S, within_s=30)
        upstream.answers[failing] = 200
        past = await closed_again(running, failing)
        back = len(upstream.at(failing))
        await eventually(lambda: len(upstream.at(failing)) > back + PER_S, within_s=30)
    assert failed <= MOST_FAILED
    assert stream.statuses == {200: len(stream.answers)}
    assert max(probes_by_round(upstream, failing, past)) <= PROBES
    opened = [one for one in past if one.after is State.OPEN and one.why is not Why.PROBE_FAILED]
    assert len(opened) == 1
    assert opened[0].figures.calls > 0


@pytest.mark.parametrize(("model", "place"), [("lone", "lone"), ("limited-lone", "solo")])
async def test_an_outage_of_the_last_deployment_defers_and_nothing_fails(
    running: Installation, upstream: SwitchedUpstream, model: str, place: str
) -> None:
    async with Client(running.url) as client, Stream(client, model) as stream:
        await eventually(lambda: len(upstream.at(place)) > PER_S, within_s=30)
        upstream.answers[place] = 500
        await eventually(lambda: _is(running, place, State.OPEN), within_s=30, every_s=0.1)
        upstream.answers[place] = 200
        past = await closed_again(running, place)
    assert upstream.failed(place) <= MOST_FAILED
    assert stream.statuses == {200: len(stream.answers)}
    assert max(probes_by_round(upstream, place, past)) <= PROBES


async def test_a_request_that_cannot_wait_so_long_fails_at_once(
    running: Installation, upstream: SwitchedUpstream
) -> None:
    upstream.answers["held"] = 500
    async with Client(running.url) as client:
        waiting = asyncio.create_task(client.flood([chat(f"{n}", "held") for n in range(60)], 20))
        await eventually(lambda: _is(running, "held", State.OPEN), within_s=30, every_s=0.1)
        hurried = await client.ask(chat("hurried", "held"), headrace_timeout="1")
        upstream.answers["held"] = 200
        answers = await waiting
    assert hurried.status in (503, 504)
    assert Counter(answer.status for answer in answers) == {200: len(answers)}


async def test_a_refused_credential_costs_one_call_a_request_and_marks_the_deployment(
    running: Installation, upstream: SwitchedUpstream
) -> None:
    upstream.answers["unpaid"] = 402
    async with Client(running.url) as client:
        answers = [await client.ask(chat(f"{n}", "billed")) for n in range(3)]
        assert [answer.status for answer in answers] == [402] * 3
        assert len(upstream.at("unpaid")) == 3
        await eventually(lambda: _is(running, "unpaid", State.OPEN), within_s=30, every_s=0.1)
        upstream.answers["unpaid"] = 200
    known = await row(running, "unpaid")
    assert known is not None
    assert known.why is Why.CREDENTIAL


async def test_a_killed_governor_changes_no_state(
    running: Installation, upstream: SwitchedUpstream
) -> None:
    upstream.answers["held"] = 500
    (governor,) = running.stack.governors
    async with Client(running.url) as client:
        asking = asyncio.create_task(client.flood([chat(f"k{n}", "held") for n in range(60)], 20))
        await eventually(lambda: _is(running, "held", State.OPEN), within_s=30, every_s=0.1)
        before = await row(running, "held")
        governor.kill()
        await governor.wait()
        await governor.start()
        upstream.answers["held"] = 200

        async def newly_owned() -> bool:
            now = await row(running, "held")
            return now is not None and before is not None and now.epoch > before.epoch

        await eventually(newly_owned, within_s=60, every_s=0.1)
        answers = await asking
        past = await closed_again(running, "held")
    assert Counter(answer.status for answer in answers) == {200: len(answers)}
    epochs = {one.epoch for one in past}
    assert len(epochs) >= 2
    first = next(one for one in past if one.epoch == max(epochs))
    assert first.before in (State.OPEN, State.HALF_OPEN)


async def _is(running: Installation, deployment: str, wanted: State) -> bool:
    return await state(running, deployment) is wanted


async def test_a_killed_dispatcher_with_a_probe_in_hand_does_not_hold_up_the_round(
    running: Installation, upstream: SwitchedUpstream
) -> None:
    upstream.answers["lone"] = 500
    async with Client(running.url) as client:
        asking = asyncio.create_task(client.flood([chat(f"p{n}", "lone") for n in range(60)], 20))
        await eventually(lambda: _is(running, "lone", State.OPEN), within_s=30, every_s=0.1)
        upstream.answers["lone"] = 0
        opened_ms = (await history(running, "lone"))[-1].at_ms
        await eventually(lambda: upstream.at("lone", opened_ms + 1_000), within_s=60)
        for dispatcher in running.stack.dispatchers:
            dispatcher.kill()
            await dispatcher.wait()
            await dispatcher.start()
        upstream.answers["lone"] = 200
        answers = await asking
        past = await closed_again(running, "lone")
    assert Counter(answer.status for answer in answers) == {200: len(answers)}
    assert Why.PROBE_EXPIRED in {one.why for one in past if one.at_ms > opened_ms}


async def test_an_operator_sees_forces_and_resets_a_breaker(
    running: Installation, upstream: SwitchedUpstream
) -> None:
    config = ("--config", str(running.stack.config_path))

    async def said(*arguments: str) -> list[dict[str, Any]]:
        code, printed, told = await headrace("breaker", *arguments, *config, "--output", "json")
        assert code == 0, told
        answer: list[dict[str, Any]] = json.loads(printed)
        return answer

    by = ("--by", "ann", "--reason", "maintenance")
    await said("force", "west", "open", *by)
    await eventually(lambda: _is(running, "west", State.FORCED_OPEN), within_s=30, every_s=0.1)
    west = len(upstream.at("west"))
    async with Client(running.url) as client:
        answers = await client.flood([chat(f"f{n}", "pair") for n in range(10)], 20)
    assert Counter(answer.status for answer in answers) == {200: 10}
    assert len(upstream.at("west")) == west
    (shown,) = await said("show", "west")
    assert (shown["state"], shown["share"], shown["by"]) == ("forced_open", 0.0, "ann")
    await said("reset", "west", *by)
    await eventually(lambda: _is(running, "west", State.CLOSED), within_s=30, every_s=0.1)
    await said("mode", "metrics-only", "west", *by)
    await eventually(lambda: _is(running, "west", State.METRICS_ONLY), within_s=30, every_s=0.1)
    await said("mode", "enforce", "west", *by)
    await eventually(lambda: _is(running, "west", State.CLOSED), within_s=30, every_s=0.1)
    past = [(one["after"], one["by"]) for one in await said("history", "west")]
    assert past[-4:] == [
        ("forced_open", "ann"),
        ("closed", "ann"),
        ("metrics_only", "ann"),
        ("closed", "ann"),
    ]
    code, _, told = await headrace("breaker", "reset", "wset", *config)
    assert (code, told) == (
        11,
        "setting_refused: no deployment of the configuration is called wset; did you mean west?\n",
    )
    code, printed, _ = await headrace("breaker", "show", *config)
    assert code == 0
    assert b"west" in printed
