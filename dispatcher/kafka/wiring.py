"""All that one process holds of Kafka, made together, connected and closed in order.

Control, outcomes and chunks have a producer each, since aiokafka has one produce request in flight per
broker: a burst of chunks must not hold up a DONE, nor a large answer the chunks.
"""

import asyncio
from collections.abc import Coroutine, Iterable

from aiokafka import TopicPartition

from headrace.dispatcher.breakers.board import Breakers
from headrace.dispatcher.clock import BrokerTime
from headrace.dispatcher.credits import Credits
from headrace.dispatcher.fleet import Fleet
from headrace.dispatcher.kafka.chains import Chains
from headrace.dispatcher.kafka.credits import CreditChannel
from headrace.dispatcher.kafka.directory import Directory
from headrace.dispatcher.kafka.events import Events
from headrace.dispatcher.kafka.follower import EAGER, Follower
from headrace.dispatcher.kafka.groups import groups
from headrace.dispatcher.kafka.journals import JournalWriter
from headrace.dispatcher.kafka.membership import Membership
from headrace.dispatcher.kafka.outbox import Outbox
from headrace.dispatcher.kafka.reach import Reach
from headrace.dispatcher.kafka.replies import Replies
from headrace.dispatcher.kafka.reports import ReportChannel
from headrace.dispatcher.kafka.rows import BreakerRows
from headrace.dispatcher.kafka.settings import SettingsReader
from headrace.dispatcher.kafka.source import Source
from headrace.dispatcher.kafka.sources import AllSources
from headrace.dispatcher.kafka.states import States
from headrace.dispatcher.kafka.takeover import Takeover
from headrace.dispatcher.metrics import Metrics
from headrace.dispatcher.operated import Operated
from headrace.dispatcher.overheard import Overheard
from headrace.dispatcher.ports import Reader, TakeCancel
from headrace.dispatcher.reports import Reports
from headrace.dispatcher.tenure import Tenure
from headrace.schemas.config.model import Config
from headrace.schemas.topics import Topics
from headrace.telemetry.logs import Log


class Wiring:
    """The Kafka side of a dispatcher process."""

    def __init__(
        self,
        config: Config,
        *,
        fleet: Fleet,
        clock: BrokerTime,
        metrics: Metrics,
        log: Log,
        breakers: Breakers,
        overheard: Overheard,
        in_hand: Credits | None = None,
    ) -> None:
        """`in_hand`: where anything is limited."""
        self._config = config
        self._fleet = fleet
        self._clock = clock
        self._log = log
        self._metrics = metrics
        name, kafka = fleet.own, config.kafka
        self.topics = Topics(kafka.topic_prefix)
        self._control = Outbox(kafka, f"{name}-control", log, acked=clock.acked)
        self.finals = Outbox(kafka, f"{name}-outcomes", log)
        self._chunks = Outbox(kafka, f"{name}-chunks", log)
        self.bulk = Outbox(kafka, f"{name}-bulk", log, compression="zstd")
        self._follower = Follower(kafka, f"{name}-follower", log)
        self._reader = Follower(kafka, f"{name}-reader", log, pace=EAGER)
        self.reach = Reach(config, f"{name}-admin", log)
        self.directory = Directory(self.topics, self.reach.admin, clock, log)
        linger_s = config.dispatcher.journal_linger_ms / 1000
        self.journals = JournalWriter(self._control, linger_s, self._read_journal)
        self.chains = Chains(self.topics, self._control, self._follower, log)
        self.events = Events(self.topics.events, self._control, log)
        self.replies = Replies(
            source=name.encode(),
            finals=self.finals,
            chunks=self._chunks,
            bulk=self.bulk,
            gone=self.directory.gone,
            log=log,
        )
        self.states = States(self.topics.status, passing=self._control, finals=self.finals, log=log)
        self.sources = AllSources(
            journals=self.journals,
            fleet=fleet,
            clock=clock,
            metrics=metrics,
            commit_s=config.dispatcher.commit_interval_s,
            snap_s=config.dispatcher.snap_interval_s,
        )
        self._rows = BreakerRows(
            self.topics, breakers, self._follower, clock=clock, woken=self.sources.wake, log=log
        )
        told = Reports(name, breakers, overheard, in_hand)
        self._reports = ReportChannel(
            told, topics=self.topics, outbox=self._control, clock=clock, log=log
        )
        self._channel = None if in_hand is None else self._channel_of(in_hand)
        self._joined: list[Source] = []
        self._connected = False

    def _channel_of(self, in_hand: Credits) -> CreditChannel:
        return CreditChannel(
            self._config.kafka,
            in_hand,
            name=self._fleet.own,
            topics=self.topics,
            clock=self._clock,
            woken=self.sources.wake,
            metrics=self._metrics,
            log=self._log,
        )

    async def _read_journal(self, tenure: Tenure, offset: int) -> None:
        await self._follower.read_to(TopicPartition(tenure.journal, tenure.partition), offset)

    async def connect(self) -> None:
        """Connect everything; returns once Kafka and all topics are there."""
        more = () if self._channel is None else (self._channel,)
        outboxes = (self._control, self.finals, self._chunks, self.bulk)
        await self.reach.connect(*outboxes, self._follower, self._reader, *more)
        self.events.partitions = await self.reach.partitions(self.topics.events)
        self._connected = True

    async def obey(self) -> None:
        """Know all breakers' rows, and follow them. Raises `KafkaError`; may be called again."""
        await self._rows.catch_up()

    def membership(self, cancelled: TakeCancel) -> Membership:
        """This process among the others; `cancelled` is told of every cancel."""
        return Membership(
            topics=self.topics,
            fleet=self._fleet,
            follower=self._follower,
            admin=self.reach.admin,
            control=self._control,
            clock=self._clock,
            cancelled=cancelled,
            log=self._log,
        )

    def settings(self, operated: Operated) -> SettingsReader:
        """What operators have set, for `operated`."""
        return SettingsReader(
            self.topics.settings,
            self._follower,
            operated,
            now_ms=self._clock.now_ms,
            log=self._log,
        )

    def writers(self) -> Iterable[Coroutine[None, None, None]]:
        """What runs from the connection to the end."""
        return (
            *(() if self._channel is None else self._channel.works()),
            *self._reports.works(),
            self._follower.run(),
            self._reader.run(),
            self.journals.run(),
            self.replies.run(),
            self.events.run(),
            self.states.run(),
        )

    async def join(self, reader: Reader) -> Iterable[Coroutine[None, None, None]]:
        """Join all groups; returns what then reads them."""
        takeover = Takeover(
            process=self._fleet.own,
            topics=self.topics,
            journals=self.journals,
            follower=self._follower,
            reader=self._reader,
            admin=self.reach.admin,
            freed=self.sources.freed,
            metrics=self._metrics,
            log=self._log,
        )
        for group in groups(self.topics, self._config.lanes):
            source = Source(
                self._config,
                group,
                takeover=takeover,
                journals=self.journals,
                sink=self.sources.arrived,
                full=self.sources.full,
                room=reader.room,
                revoked=reader.revoked,
                log=self._log,
            )
            self._joined.append(source)
            self.sources.add(source)
        await asyncio.gather(*(self.reach.patiently(source.start) for source in self._joined))
        return [source.run() for source in self._joined]

    async def leave(self) -> None:
        """Hand all partitions over and leave the groups."""
        await asyncio.gather(*(source.close() for source in self._joined))

    async def release(self) -> None:
        """Nothing runs any more: say so, where there is a connection by now."""
        if not self._connected:
            return
        await self.chains.flush()
        await self.journals.flush()
        await self.events.flush()
        await self._reports.end()
        await asyncio.gather(*(source.release() for source in self._joined))

    async def close(self) -> None:
        """Close all clients, the producers first."""
        outboxes = (self.finals, self._chunks, self.bulk, self._control)
        await asyncio.gather(*(outbox.close() for outbox in outboxes))
        await asyncio.gather(self._follower.close(), self._reader.close())
        if self._channel is not None:
            await self._channel.close()
        await self.reach.close()
