"""The intake's loop: read, judge, write on, commit.

A batch is committed when all of it is acknowledged, or held because an answer is still owed
(`progress`). Whatever fails closes the session, and the next one begins at the committed offset:
records are then written twice, under the same ids, and dispatchers drop the second.
"""

import asyncio

from headrace.ingress.intake.check import InboxRecord, IntakePolicy, Rejected, check
from headrace.ingress.intake.keyed import KeyedRecords
from headrace.ingress.intake.progress import Place, Progress
from headrace.ingress.kafka.inbox import Inboxes, keep_up
from headrace.ingress.kafka.passing import Passing
from headrace.schemas.config.clients import client_options
from headrace.schemas.config.model import Config
from headrace.schemas.records import RequestRecord
from headrace.schemas.topics import Topics
from headrace.telemetry.logs import Log


class Intake:
    """One member of the group that reads the inboxes."""

    def __init__(
        self, config: Config, policy: IntakePolicy, name: str, keyed: KeyedRecords, log: Log
    ) -> None:
        """`name` is what Kafka's own log calls the clients."""
        self._options = client_options(config.kafka)
        self._topics = Topics(config.kafka.topic_prefix)
        self._lanes = list(config.lanes)
        self._policy = policy
        self._name = name
        self._keyed = keyed
        self._log = log

    async def run(self) -> None:
        """Pass on what comes until cancelled."""
        await keep_up(self._session, self._log)

    async def _session(self) -> None:
        progress = Progress()
        group = self._topics.intake_group
        reader = Inboxes(
            self._options, self._name, list(self._policy.inboxes), group, progress.lost, self._log
        )
        writer = Passing(self._options, self._name, self._topics, self._lanes, self._log)
        try:
            await writer.open()
            await reader.open()
            async with self._keyed.session(progress, writer):
                while True:
                    await self._step(progress, reader, writer)
        finally:
            await reader.close()
            await writer.close()

    async def _step(self, progress: Progress, reader: Inboxes, writer: Passing) -> None:
        written = await reader.poll(self._keyed.has_room)
        epoch = progress.epoch
        async with asyncio.TaskGroup() as batch:
            for record in written:
                batch.create_task(self._pass_on(record, writer))
        for record in written:
            progress.passed(Place(record.topic, record.partition), record.offset + 1, epoch)
        positions = progress.positions()
        if positions and await reader.commit(positions):
            progress.committed(positions)

    async def _pass_on(self, written: InboxRecord, writer: Passing) -> None:
        found = check(self._policy, written)
        if isinstance(found, RequestRecord):
            found = writer.misfit(found, written) or found
        if isinstance(found, RequestRecord) and found.idempotency_key:
            self._keyed.take(found, written)
        elif isinstance(found, Rejected):
            await writer.reject(found, written)
        else:
            await writer.request(found, written)
