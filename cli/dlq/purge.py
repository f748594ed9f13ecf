"""Purge: Kafka deletes the beginning of a partition, up to an offset; single letters it cannot delete."""

from contextlib import aclosing

import msgspec

from headrace.cli.dlq.shelf import Progress, open_shelf
from headrace.cli.topics.admin import connect
from headrace.schemas.config.model import Config
from headrace.schemas.letters import Letter, Mark
from headrace.schemas.topics import Topics


class Cut(msgspec.Struct, frozen=True):
    """What a purge takes: up to `ends` (partition -> offset, exclusive)."""

    ends: dict[int, int]
    letters: int
    pending: int
    """Those of them that were never replayed."""


async def measure(config: Config, before_ms: int | None, progress: Progress) -> Cut:
    """What would go: all letters older than `before_ms`, or all. Errors: `DlqError`, `TopicsError`."""
    async with open_shelf(config) as shelf:
        begin, end = await shelf.bounds()
        cut, _ = (end, end) if before_ms is None else await shelf.bounds(max(1, before_ms))
        letters = replayed = 0
        async with aclosing(shelf.read(begin, end, progress)) as batches:
            async for batch in batches:
                for record in batch:
                    match shelf.letter(record):
                        case Letter() if record.offset < cut[record.partition]:
                            letters += 1
                        case Mark(offset=offset) if (
                            begin[record.partition] <= offset < cut[record.partition]
                        ):
                            replayed += 1
                        case _:
                            pass
    ends = {n: stop for n, stop in cut.items() if stop > begin[n]}
    return Cut(ends, letters, max(0, letters - replayed))


async def purge(config: Config, cut: Cut) -> None:
    """Delete it. Errors: `TopicsError`."""
    async with connect(config.kafka) as admin:
        await admin.delete_before(Topics(config.kafka.topic_prefix).dead_letters, cut.ends)
