"""Requests written straight to a lane, and what became of them."""

import uuid

from headrace.cli.mock.log import LoggedCall
from support.eventually import eventually
from support.installation import Installation, Record, chat, header

TAKEOVER_S = 120.0
"""What a takeover may take on a machine that does other things too: its bound is 12 s."""


class Direct:
    """One request of a Kafka client, with a topic of its own for the answer."""

    def __init__(self, installation: Installation, answers: str, request_id: str) -> None:
        self._installation = installation
        self.answers = answers
        self.id = request_id

    @classmethod
    async def send(
        cls,
        installation: Installation,
        script: str = "",
        *,
        request_id: str = "",
        text: str = "",
        partition: int = 0,
        **headers: str,
    ) -> "Direct":
        """Write a request to a partition of the lane; `headers` without `headrace-`."""
        request_id = request_id or f"r-{uuid.uuid4().hex}"
        answers = await installation.topic(f"out.{uuid.uuid4().hex}")
        known = {"ce_id": request_id.encode(), "reply-topic": answers.encode()}
        known |= {f"headrace-{name}": value.encode() for name, value in headers.items()}
        body = chat(text or request_id, user=script)
        lane = installation.topics.requests("standard")
        await installation.produce(lane, body, headers=known, partition=partition)
        return cls(installation, answers, request_id)

    def calls(self) -> list[LoggedCall]:
        """What the upstream saw of it."""
        return self._installation.calls(self.id)

    async def called(self, times: int = 1, within_s: float = TAKEOVER_S) -> None:
        """Returns once the upstream was called so often."""
        await eventually(lambda: len(self.calls()) >= times, within_s=within_s)

    async def finals(self) -> list[Record]:
        """The final answers so far."""
        every = await self._installation.dump(self.answers)
        return [record for record in every if header(record, "headrace-final") == b"1"]

    async def outcome(self, within_s: float = TAKEOVER_S) -> tuple[str, str]:
        """Outcome and code of its first final answer."""
        (first, *_) = await eventually(self.finals, within_s=within_s, every_s=0.2)
        outcome, code = header(first, "headrace-outcome"), header(first, "headrace-code")
        return (outcome or b"").decode(), (code or b"").decode()

    async def letters(self) -> list[str]:
        """Reasons of its dead letters."""
        every = await self._installation.dump(self._installation.topics.dead_letters)
        mine = [one for one in every if header(one, "ce_id") == self.id.encode()]
        return [(header(one, "headrace-reason") or b"").decode() for one in mine]
