"""One consumer and group: reads lanes or delay topics, and owns partitions for as long as it may.

Offsets are committed by hand only. Every rebalance takes all partitions away and gives some back (the
eager protocol), so ownership is told by tenures, not by the consumer.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable

from aiokafka import TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import IllegalStateError, KafkaError

from headrace.dispatcher.kafka.closing import end_consumer, has_died, is_started, rejoin_where_stuck
from headrace.dispatcher.kafka.commits import Commits
from headrace.dispatcher.kafka.ends import end_of
from headrace.dispatcher.kafka.groups import Group, group_consumer
from headrace.dispatcher.kafka.journals import JournalWriter
from headrace.dispatcher.kafka.reading import Reading, Records
from headrace.dispatcher.kafka.takeover import Takeover
from headrace.dispatcher.tenure import Tenure
from headrace.schemas.config.model import Config
from headrace.telemetry.logs import Log

_PAUSE_S = 0.5
_CERTAIN_S = 2.0
_RECLAIM_S = 1.0
"""A late claimant learns from the group within two heartbeats that it is none any more."""

Sink = Callable[[Tenure, Records], None]


class ConsumerDied(Exception):
    """A background task of the client has ended: it keeps its partitions and reads them no more."""


class Source(ConsumerRebalanceListener):
    """A member of one group, which reads the group's topics."""

    def __init__(
        self,
        config: Config,
        group: Group,
        *,
        takeover: Takeover,
        journals: JournalWriter,
        sink: Sink,
        full: Callable[[], bool],
        room: Callable[[Tenure], bool],
        revoked: Callable[[], None],
        log: Log,
    ) -> None:
        self.group = group.name
        self.tenures: dict[TopicPartition, Tenure] = {}
        self.rebalances = 0
        self._closing = False
        self._topics = group.topics
        self._takeover = takeover
        self._journals = journals
        self._sink = sink
        self._full = full
        self._room = room
        self._revoked = revoked
        self._log = log
        self._lingering: list[Tenure] = []
        """Tenures that ended here and still have calls running."""
        self._suspects: list[TopicPartition] = []
        """Partitions of a read that failed at one of them: read one by one next."""
        self._unreadable: set[TopicPartition] = set()
        self._opened = asyncio.Event()
        self._settled = asyncio.Event()
        """Whether no partition is being claimed anew."""
        self._settled.set()
        self._reclaim_s = 0.0
        self._consumer = group_consumer(config, group)
        self._reading = Reading(self._consumer)
        self._commits = Commits(self._consumer, group.name, log)

    async def start(self) -> None:
        """Connect and join the group. Raises `KafkaError` where it may be called again."""
        self._consumer.subscribe(list(self._topics), listener=self)
        try:
            await self._consumer.start()
        except KafkaError as error:
            if not is_started(self._consumer):
                raise
            # It goes on joining by itself, once `run` has picked the error up.
            self._log.warning("join_failed", group=self.group, code=type(error).__name__)

    async def close(self) -> None:
        """Hand the partitions over and leave the group at once."""
        self._closing = True
        await self.on_partitions_revoked(list(self.tenures))
        if not await end_consumer(self._consumer):
            self._log.warning("leave_incomplete", group=self.group)

    async def release(self) -> None:
        """Nothing of this process runs any more: say so for the tenures that ended with calls running."""
        await asyncio.gather(*(self._journals.release(tenure) for tenure in self._lingering))

    async def run(self) -> None:
        """Read whatever there is room for, until closed or cancelled.

        Raises `ConsumerDied` when the client has ended by itself and only a new process helps.
        """
        while not self._closing:
            if has_died(self._consumer):
                raise ConsumerDied(self.group)
            rejoin_where_stuck(self._consumer, self._log)
            if self._contested():
                await self._reclaim()
            opened = self._choose()
            if self.tenures and not opened:
                self._opened.clear()
                await self._opened.wait()
                continue
            assignment = self.rebalances
            try:
                batches = await self._reading.read(opened)
            except (KafkaError, IllegalStateError) as error:
                self._log.warning("kafka_read_failed", group=self.group, code=type(error).__name__)
                # Records that were read before the error, in the same batch, are lost to us.
                self._rewind(opened)
                await asyncio.sleep(_PAUSE_S)
                continue
            except UnicodeDecodeError:
                self._single_out(opened)
                self._rewind(opened)
                continue
            for tp, records in batches.items():
                if assignment == self.rebalances:
                    await self._take(tp, records)
            if assignment != self.rebalances:
                self._rewind(batches)

    async def _take(self, tp: TopicPartition, records: Records) -> None:
        if (tenure := self.tenures.get(tp)) is None:
            return
        if records[0].offset != tenure.tracker.expected:
            # Not what was to come next: a gap, records lost, or another log of the same name.
            if records[0].offset < tenure.tracker.expected:
                tenure.owned, tenure.astray = False, True
                return
            await self._takeover.tell_gap(tenure, tenure.tracker.expected)
            if self.tenures.get(tp) is not tenure:
                return
        tenure.tracker.expected = records[-1].offset + 1
        self._sink(tenure, records)

    def _contested(self) -> bool:
        """Whether others have claimed what the group gives to this process."""
        now_s = asyncio.get_running_loop().time()
        if now_s < self._reclaim_s or all(tenure.owned for tenure in self.tenures.values()):
            return False
        self._reclaim_s = now_s + _RECLAIM_S
        return True

    async def _reclaim(self) -> None:
        """A process that claims late, after it has lost the partition, may die and leave it unread.

        The group knows who is right: whose commits it refuses is late, and gives the partition up.
        """
        self._settled.clear()
        try:
            lost = {tp: one for tp, one in self.tenures.items() if not one.owned}
            if not await self._commits.knows(list(lost.values())):
                return
            self._log.warning("claimed_again", group=self.group, count=len(lost))
            self._revoked()
            self._linger(list(lost.values()))
            await self._claim(list(lost))
            for tp, before in lost.items():
                if tp in self.tenures and not before.astray:
                    self.tenures[tp].adopt(before)
                    self._journals.want_snap(self.tenures[tp])
            await self._journals.flush()
        finally:
            self._settled.set()

    def _choose(self) -> list[TopicPartition]:
        while self._suspects:
            suspect = self._suspects.pop()
            if suspect in self.tenures:
                return [suspect]
        if self._full():
            return []
        return [
            tp
            for tp, tenure in self.tenures.items()
            if tp not in self._unreadable and tenure.owned and self._room(tenure)
        ]

    def _single_out(self, read: list[TopicPartition]) -> None:
        """A record has a header whose name is no UTF-8, which aiokafka cannot read, nor what is
        behind it in its batch: that partition stands still until someone looks at it, no other.
        """
        if len(read) > 1:
            self._suspects = list(read)
            return
        for tp in read:
            self._unreadable.add(tp)
            offset = self.tenures[tp].tracker.next_offset
            self._log.error(
                "partition_unreadable", topic=tp.topic, partition=tp.partition, offset=offset
            )

    def _rewind(self, partitions: Iterable[TopicPartition]) -> None:
        """A read that spanned a rebalance may begin anywhere: read again from where each tenure is."""
        for tp in partitions:
            tenure = self.tenures.get(tp)
            if tenure is not None:
                self._consumer.seek(tp, tenure.tracker.expected)

    def resume(self) -> None:
        """There may be room again."""
        self._opened.set()

    async def on_partitions_revoked(self, revoked: "list[TopicPartition]") -> None:
        """Before others may claim: everything started or done is in the journal, and committed."""
        with contextlib.suppress(TimeoutError):
            # A CLAIM under way would else come after the successor's.
            async with asyncio.timeout(_CERTAIN_S):
                await self._settled.wait()
        tenures = [self.tenures.pop(tp) for tp in list(revoked) if tp in self.tenures]
        if tenures:
            await self._give_back(tenures)

    async def _give_back(self, tenures: list[Tenure]) -> None:
        for tenure in tenures:
            tenure.resign()
            self._journals.want_snap(tenure)
        self._linger(tenures)  # from now on, so that `forsake` finds them
        self._revoked()
        assignment = self.rebalances
        await self._journals.flush()
        if assignment == self.rebalances:
            # Else a member that was thrown out meanwhile, and has joined again, commits what is old.
            await self._commits.commit(tenures)
        await self._make_certain(tenures)
        self._takeover.forget(tenures)
        self._linger([])

    def _linger(self, tenures: list[Tenure]) -> None:
        every = (*self._lingering, *tenures)
        self._lingering = [tenure for tenure in every if tenure.running or tenure.parked]

    async def _make_certain(self, tenures: list[Tenure]) -> None:
        """Learn whether successors know all that runs on here: read back what has just been written."""
        with contextlib.suppress(TimeoutError):  # what runs is then finished, but not handed on
            async with asyncio.timeout(_CERTAIN_S):
                await self._takeover.read_out([one for one in tenures if one.running or one.parked])
            for tenure in tenures:
                tenure.certain = not tenure.replaced
        for tenure in tenures:
            tenure.decided.set()

    def forsake(self) -> None:
        """This process may have been taken for dead where others own by now."""
        for tenure in (*self._lingering, *self.tenures.values()):
            tenure.forsaken = not tenure.owned

    async def on_partitions_assigned(self, assigned: "list[TopicPartition]") -> None:
        """Claim what was assigned; nothing of it is read before."""
        self.rebalances += 1
        await self._claim(assigned)

    async def _claim(self, assigned: "list[TopicPartition]") -> None:
        sources = {tp: self._topics[tp.topic] for tp in assigned}
        while sources and not self._closing:
            try:
                tenures = await self._takeover.claim(self.group, sources)
            except KafkaError as error:
                # aiokafka would log it and go on with partitions that nobody claimed.
                self._log.warning("claim_failed", group=self.group, code=type(error).__name__)
                await asyncio.sleep(_PAUSE_S)
                continue
            if self._closing:
                return  # assigned while the group was being left: the next owner claims it anew
            tenures = {tp: one for tp, one in tenures.items() if tp in self._consumer.assignment()}
            for tp, tenure in tenures.items():
                self._consumer.seek(tp, tenure.tracker.next_offset)
            self._commits.forget()
            self._unreadable.clear()
            self.tenures.update(tenures)
            self.resume()
            return

    async def behind(self) -> AsyncIterator[tuple[Tenure, int]]:
        """Of each partition: its tenure, and where what there is to read of it ends."""
        for tp, tenure in list(self.tenures.items()):
            yield tenure, await end_of(self._consumer, tp, tenure.tracker.expected)

    async def commit(self) -> None:
        """Commit the watermarks that moved."""
        await self._commits.commit(list(self.tenures.values()))
