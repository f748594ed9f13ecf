"""Calls that run are told apart by tenant and id, as producers choose their ids."""

import asyncio

from headrace.dispatcher.outcome import Ending
from headrace.dispatcher.ports import Call, CallEnd, Forward
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.names import DeploymentName, Outcome, Tenant
from support.attempting import attempts
from support.dispatch import waiting


class Slow:
    """An upstream that answers when it is told to."""

    def __init__(self) -> None:
        self.calling = asyncio.Semaphore(0)
        self.answers = asyncio.Event()

    async def call(self, _call: Call, _forward: Forward) -> CallEnd:
        self.calling.release()
        await self.answers.wait()
        return CallEnd(withheld=True)

    async def close(self) -> None:
        """Nothing is open."""


class Told:
    """Keeps what whoever waits is told."""

    def __init__(self) -> None:
        self.ends: list[tuple[str, Outcome]] = []

    async def answer(self, waiting: Waiting, ending: Ending, **_: object) -> None:
        self.ends.append((waiting.record.tenant, ending.outcome))


def of(tenant: str) -> Waiting:
    request = waiting()
    request.record.tenant = Tenant(tenant)
    return request


async def test_a_cancel_ends_the_call_of_its_tenant_alone() -> None:
    upstream, told, back = Slow(), Told(), list[str]()
    calls = attempts(upstream, told)
    acme, globex = of("acme"), of("globex")
    assert acme.id == globex.id
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        for request in (acme, globex):
            tasks.create_task(
                calls.run(
                    request,
                    DeploymentName("east"),
                    freed=lambda: None,
                    again=lambda _w, _at: False,
                    back=lambda w: back.append(w.record.tenant),
                )
            )
            await upstream.calling.acquire()
        assert calls.cancel(acme.identity)
        assert calls.running == {acme, globex}
        upstream.answers.set()
    assert told.ends == [("acme", Outcome.CANCELLED)]
    assert back == ["globex"]
