"""Commits of one consumer: watermarks that moved, each with the bookmark for a successor."""

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata

from headrace.dispatcher.tenure import Tenure
from headrace.telemetry.logs import Log


class Commits:
    """Knows what was committed, so that nothing is committed twice."""

    def __init__(self, consumer: AIOKafkaConsumer, group: str, log: Log) -> None:
        self._consumer = consumer
        self._group = group
        self._log = log
        self._committed: dict[TopicPartition, OffsetAndMetadata] = {}

    def forget(self) -> None:
        """Others may have committed since."""
        self._committed.clear()

    async def commit(self, tenures: list[Tenure]) -> None:
        """Commit the watermarks that moved."""
        moved = {
            tp: position
            for tp, position in _positions(tenures).items()
            if self._committed.get(tp) != position
        }
        if moved:
            await self.accepts(moved)

    async def knows(self, tenures: list[Tenure]) -> bool:
        """Whether the group takes commits of these, as it does of its present members only."""
        return await self.accepts(_positions(tenures))

    async def accepts(self, positions: dict[TopicPartition, OffsetAndMetadata]) -> bool:
        """Commit; False where that was refused or did not succeed."""
        try:
            await self._consumer.commit(positions)
        except (CommitFailedError, IllegalStateError) as error:
            # Normal after a rebalance: the next owner reads the journal, which knows more.
            self._log.info("commit_refused", group=self._group, code=type(error).__name__)
        except KafkaError as error:
            self._log.warning("commit_failed", group=self._group, code=type(error).__name__)
        else:
            self._committed.update(positions)
            return True
        return False


def _positions(tenures: list[Tenure]) -> dict[TopicPartition, OffsetAndMetadata]:
    return {
        TopicPartition(one.topic, one.partition): OffsetAndMetadata(
            one.tracker.watermark, one.bookmark
        )
        for one in tenures
    }
