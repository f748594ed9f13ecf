"""Grants and reports, as a governor reads and writes them: both partitions of the one limit domain.

How it works. The grants are followed as long as the process lives. The reports are read only by an owner:
`history` reads both from far enough back, and goes on with the reports from there. It has a reader of its
own for that, since a broker answers nothing else on a connection where it holds a fetch.
"""

from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from headrace.dispatcher.kafka.appender import Appender
from headrace.dispatcher.kafka.follower import PROMPT, STEADY, Follower
from headrace.dispatcher.kafka.outbox import Outbox
from headrace.dispatcher.kafka.reach import Reach
from headrace.dispatcher.kafka.settings import SettingsReader
from headrace.dispatcher.kafka.table import Table
from headrace.dispatcher.operated import Operated
from headrace.schemas.config.model import Config
from headrace.schemas.limits import (
    LIMIT_PARTITION,
    Command,
    Report,
    Unreadable,
    decode_command,
    decode_report,
    encode,
)
from headrace.schemas.outlook import OUTLOOK_PARTITION, Outlook
from headrace.schemas.outlook import encode as encode_outlook
from headrace.schemas.topics import Topics
from headrace.telemetry.logs import Log

GRANTS_BACK = 10_000
"""Grants read back at the start: further than a takeover reads (about two minutes, up to 14 a second), since
a claim below an epoch that stands there would be believed by some."""
REPORTS_BACK = 2_000
"""Reports read back where no owner is known: every dispatcher that lives is in them."""


class Placed(NamedTuple):
    """A record of the grants, with its place and the time at which the broker took it."""

    offset: int
    stamp_ms: int
    command: Command


class Past(NamedTuple):
    """The grants up to a claim."""

    grants: list[Placed]
    first: tuple[int, Command] | None
    """The first record that the log holds; None: it cannot be read."""


TakeCommand = Callable[[Placed], None]
TakeReport = Callable[[int, Report], None]
"""Stamp and report."""
TakeUnreadable = Callable[[str], None]
"""The topic."""


class LimitLog:
    """The Kafka side of one governor process."""

    def __init__(
        self,
        config: Config,
        name: str,
        *,
        acked: Callable[[int], None],
        failed: Callable[[], None],
        unreadable: TakeUnreadable,
        log: Log,
    ) -> None:
        """`acked` is told the append time of own records; `failed` that some were not acknowledged."""
        topics, kafka = Topics(config.kafka.topic_prefix), config.kafka
        self._grants = TopicPartition(topics.limit_grants, LIMIT_PARTITION)
        self._reports = TopicPartition(topics.limit_reports, LIMIT_PARTITION)
        self._settings = topics.settings
        self._unreadable = unreadable
        self._log = log
        self.reach = Reach(config, f"{name}-admin", log)
        self._outbox = Outbox(kafka, f"{name}-grants", log)
        # Beats come four times a second, and nobody claims before four are missing.
        self._follower = Follower(kafka, f"{name}-follower", log, pace=STEADY)
        self._reader = Follower(kafka, f"{name}-reader", log, pace=PROMPT)
        self._appender = Appender(self._outbox, self._grants, acked=acked, failed=failed, log=log)
        place = TopicPartition(topics.limit_outlook, OUTLOOK_PARTITION)
        self._teller = Appender(self._outbox, place, acked=_ignore, failed=failed, log=log)

    async def connect(self) -> None:
        """Returns once Kafka and all topics are there."""
        await self.reach.connect(self._outbox, self._follower, self._reader)

    def works(self) -> Iterable[Coroutine[None, None, None]]:
        """What runs from the connection to the end."""
        return (
            *(self._follower.run(), self._reader.run()),
            *(self._appender.run(), self._teller.run()),
        )

    async def close(self) -> None:
        """Close all clients, the producer first."""
        await self._outbox.close()
        await self._follower.close()
        await self._reader.close()
        await self.reach.close()

    def table(self, topic: str, failed: Callable[[], None]) -> Table:
        """A compacted topic that the owner of the limits writes, too; `failed` as in `Table`."""
        return Table(
            topic,
            outbox=self._outbox,
            follower=self._follower,
            reader=self._reader,
            reach=self.reach,
            failed=failed,
            log=self._log,
        )

    @property
    def free(self) -> bool:
        """Whether all that was appended is acknowledged, or has failed."""
        return self._appender.free

    def append(self, commands: Sequence[Command]) -> None:
        """Write these in their order. Only while it is `free`."""
        self._appender.append([(None, encode(command)) for command in commands])

    def tell(self, outlook: Outlook) -> None:
        """Write it for whoever looks; it is left out while the one before is not acknowledged."""
        if self._teller.free:
            self._teller.append([(None, encode_outlook(outlook))])

    async def follow_settings(self, operated: Operated, now_ms: Callable[[], int]) -> None:
        """Know what operators have set, and follow it. A Kafka that is away is waited for."""
        reader = SettingsReader(
            self._settings, self._follower, operated, now_ms=now_ms, log=self._log
        )
        await self.reach.patiently(reader.catch_up)

    async def follow_grants(self, take: TakeCommand) -> None:
        """Follow them; returns once all that stands there was read. A Kafka that is away is waited for."""
        bounds = await self.reach.patiently(lambda: self._follower.bounds([self._grants]))
        first, end = bounds[self._grants]
        start = max(first, end - GRANTS_BACK)
        starts = {self._grants: (start, end, self._commands(take))}
        await self._follower.follow(starts, anew=(self._grants,))

    async def recent_reports(self, take: TakeReport) -> None:
        """Read the newest reports once. A Kafka that is away is waited for."""
        bounds = await self.reach.patiently(lambda: self._reader.bounds([self._reports]))
        first, end = bounds[self._reports]
        start = max(first, end - REPORTS_BACK)
        await self._reader.follow({self._reports: (start, end, self._taken(take))})
        self.leave_reports()

    async def history(
        self, claim: Placed, *, grants_ms: int, reports_ms: int, take: TakeReport
    ) -> Past | None:
        """The grants from `grants_ms` on up to `claim`, and all reports from `reports_ms` on to `take`.

        Returns once it was read to where the reports ended; further ones follow until `leave_reports`.
        None: Kafka could not be asked.
        """
        grants, reports = self._grants, self._reports
        try:
            starts = await self._reader.since({grants: grants_ms, reports: reports_ms})
            _, end = (await self._reader.bounds([reports]))[reports]
            first = (await self._reader.found({grants: 0}))[grants]
        except KafkaError as error:
            self._log.warning("limit_log_unreadable", code=type(error).__name__)
            return None
        read: list[Placed] = []
        await self._reader.follow(
            {
                grants: (starts[grants], claim.offset + 1, self._commands(read.append)),
                reports: (starts[reports], end, self._taken(take)),
            },
            anew=(reports,),
        )
        self._reader.unfollow([grants])
        return Past([one for one in read if one.offset <= claim.offset], _first(first, read, claim))

    def leave_reports(self) -> None:
        """Read no more of them, and nothing old."""
        self._reader.unfollow([self._reports, self._grants])

    def _commands(self, take: TakeCommand) -> Callable[["ConsumerRecord[bytes, bytes]"], None]:
        def taken(record: "ConsumerRecord[bytes, bytes]") -> None:
            command = decode_command(record.value or b"")
            if isinstance(command, Unreadable):
                self._pass_over(record, command)
            else:
                take(Placed(record.offset, record.timestamp, command))

        return taken

    def _taken(self, take: TakeReport) -> Callable[["ConsumerRecord[bytes, bytes]"], None]:
        def taken(record: "ConsumerRecord[bytes, bytes]") -> None:
            report = decode_report(record.value or b"")
            if isinstance(report, Unreadable):
                self._pass_over(record, report)
            else:
                take(record.timestamp, report)

        return taken

    def _pass_over(self, record: "ConsumerRecord[bytes, bytes]", why: Unreadable) -> None:
        self._unreadable(record.topic)
        self._log.debug(
            "limit_record_unreadable", topic=record.topic, offset=record.offset, error=why.reason
        )


def _ignore(_stamp_ms: int) -> None:
    """Of another broker, perhaps: the clock is that of the grants'."""


def _first(
    at: tuple[int, int] | None, read: list[Placed], claim: Placed
) -> tuple[int, Command] | None:
    """The log's first record, of which place and stamp are known; only a young one must be read itself."""
    if at is None:
        return None
    offset, stamp_ms = at
    if not read or offset < read[0].offset:
        return stamp_ms, claim.command
    return (stamp_ms, read[0].command) if offset == read[0].offset else None
