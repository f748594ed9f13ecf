"""A scripted model: what each call of each request meets is drawn before the run; it logs all it saw."""

import asyncio
from collections import defaultdict
from typing import Any, Self

import msgspec
from simulation.clock import CURRENT, Process, VirtualLoop

from headrace.dispatcher.ports import Break, Call, CallEnd, Forward
from headrace.schemas.names import DeploymentName

ANSWER = b'{"id":"a","choices":[]}'


class Step(msgspec.Struct, frozen=True):
    """What one call meets. `status` 0: it is broken as `broken` says."""

    seconds: float
    status: int = 200
    retry_after_s: int = 0
    broken: Break | None = None
    chunks: int = 0


class Made(msgspec.Struct):
    """One call as the model saw it; `ended_at` None: its caller was killed, or it still runs."""

    id: str
    process: Process
    began_at: float
    step: Step
    deployment: DeploymentName
    ended_at: float | None = None
    answered: bool = False
    """Whether its caller has seen the end."""


class Model:
    """The one model behind all dispatchers of a run."""

    def __init__(self, loop: VirtualLoop, scripts: dict[str, list[Step]]) -> None:
        self._loop = loop
        self._scripts = scripts
        self.calls: list[Made] = []
        self._count: defaultdict[str, int] = defaultdict(int)

    def client(self, *_: Any) -> "Client":
        """What a dispatcher makes of its configuration."""
        return Client(self)

    async def answer(self, call: Call, forward: Forward) -> CallEnd:
        """Make one call."""
        process = CURRENT.get()
        assert process is not None
        script, number = self._scripts[call.id], self._count[call.id]
        self._count[call.id] += 1
        step = script[min(number, len(script) - 1)]
        made = Made(call.id, process, self._loop.time(), step, call.deployment)
        self.calls.append(made)
        try:
            if call.stream:
                for chunk in range(step.chunks):
                    await asyncio.sleep(step.seconds / (step.chunks + 1))
                    forward(b"data: %d\n\n" % chunk)
                await asyncio.sleep(step.seconds / (step.chunks + 1))
            else:
                await asyncio.sleep(step.seconds)
            made.answered = True
        finally:
            made.ended_at = self._loop.time()
        headers = {"retry-after": str(step.retry_after_s)} if step.retry_after_s else {}
        forwarded = step.chunks if call.stream else 0
        if step.broken is not None:
            return CallEnd(broken=step.broken, forwarded=forwarded, detail="scripted")
        body = ANSWER if step.status == 200 else b'{"error":{"message":"scripted","type":"x"}}'
        return CallEnd(status=step.status, body=body, headers=headers, forwarded=forwarded)


class Client:
    """The `Upstream` port of one process."""

    def __init__(self, model: Model) -> None:
        self._model = model

    async def __aenter__(self) -> Self:
        return self

    async def call(self, call: Call, forward: Forward) -> CallEnd:
        return await self._model.answer(call, forward)

    async def close(self) -> None:
        """Nothing to close."""
