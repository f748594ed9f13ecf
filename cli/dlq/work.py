"""What the commands do between reading their arguments and printing."""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing

import msgspec

from headrace.cli.dlq.errors import LetterNotFound
from headrace.cli.dlq.replays import (
    Plan,
    Replay,
    Replayer,
    Skipped,
    decide,
    fresh_id,
    open_replayer,
)
from headrace.cli.dlq.selection import Chosen, Filter, Newest, Pending
from headrace.cli.dlq.shelf import Progress, Record, Shelf, open_shelf
from headrace.schemas.config.model import Config
from headrace.schemas.letters import Letter

Origin = tuple[str, str, int, int]
"""An id, and the place of the record that became a dead letter."""
Confirm = Callable[[int], None]
"""Told how many letters would be replayed; raises where that is not wanted."""


class Found(msgspec.Struct, frozen=True):
    """The newest letters, and how many there are in all."""

    chosen: list[Chosen]
    matched: int


class Done(msgspec.Struct, frozen=True):
    """One letter of a replay: what was, or would be, written, or why nothing is."""

    letter: Letter
    replay: Replay | Skipped


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A replay as it is wanted."""

    wanted: Filter
    plan: Plan
    limit: int
    again: bool = False
    """Also letters that were replayed before."""
    dry_run: bool = False


async def newest(config: Config, wanted: Filter, limit: int, progress: Progress) -> Found:
    """The newest letters that `wanted` takes. Errors: `DlqError`, `TopicsError`."""
    async with open_shelf(config) as shelf:
        begin, end = await shelf.bounds(wanted.since_ms)
        kept = Newest(wanted, limit)
        async with aclosing(shelf.read(begin, end, progress)) as batches:
            async for batch in batches:
                for record in batch:
                    kept.take(shelf.letter(record), record.partition)
    return Found(kept.chosen(), kept.matched)


async def value_of(config: Config, letter: Letter, progress: Progress) -> bytes | None:
    """The original value. Errors: `LetterNotFound` when it was purged meanwhile."""
    begin, end = {letter.partition: letter.offset}, {letter.partition: letter.offset + 1}
    async with open_shelf(config) as shelf, aclosing(shelf.read(begin, end, progress)) as batches:
        async for batch in batches:
            for record in batch:
                if record.offset == letter.offset:
                    return record.value
    raise not_found({letter.id})


async def replay(
    config: Config, order: Order, confirm: Confirm, progress: Progress
) -> AsyncGenerator[Done, None]:
    """Replay what is pending, oldest first within each partition; yields what was done.

    Errors: `LetterNotFound` for an id without a letter, before anything is written; what `confirm`
    raises; `TopicsError`.
    """
    async with open_shelf(config) as shelf:
        begin, end = await shelf.bounds(order.wanted.since_ms)
        pending = Pending(order.wanted, begin, end, again=order.again)
        async with aclosing(shelf.read(begin, end, progress)) as batches:
            async for batch in batches:
                for record in batch:
                    pending.take(shelf.letter(record), record.partition)
        if pending.unseen:
            raise not_found(pending.unseen)
        count = min(pending.count(), order.limit)
        if count and not order.dry_run:
            confirm(count)
        ends = {n: last + 1 for n in begin if (last := pending.last(n)) is not None}
        chosen = _chosen(shelf, pending, {n: begin[n] for n in ends}, ends, order)
        async with aclosing(chosen), open_replayer(config, order.plan) as replayer:
            async for decided in chosen:
                if not order.dry_run:
                    await _write(replayer, decided)
                for done, _ in decided:
                    yield done


async def _chosen(
    shelf: Shelf, pending: Pending, begin: dict[int, int], end: dict[int, int], order: Order
) -> AsyncGenerator[list[tuple[Done, Record]], None]:
    """What is decided about each pending letter, until as many are replayed as the limit says."""
    left = order.limit
    seen: set[Origin] = set()
    async with aclosing(shelf.read(begin, end, lambda _done, _total: None)) as batches:
        async for batch in batches:
            decided: list[tuple[Done, Record]] = []
            for letter, record in _letters(shelf, pending, batch):
                if left == 0:
                    break
                told: Replay | Skipped = decide(letter, order.plan, shelf, fresh_id())
                if isinstance(told, Replay):
                    origin = _origin(letter)
                    if origin in seen:
                        told = Skipped.SAME_REQUEST
                    else:
                        seen.add(origin)
                        left -= 1
                decided.append((Done(letter, told), record))
            yield decided
            if left == 0:
                return


def _origin(letter: Letter) -> Origin:
    """Letters of one record have the same. Not its id alone: two tenants may use one, or one may use it
    twice.
    """
    source = letter.source
    if not source.topic:  # none was told
        return letter.id, "", letter.partition, letter.offset
    return letter.id, source.topic, source.partition, source.offset


def _letters(
    shelf: Shelf, pending: Pending, batch: list[Record]
) -> Iterator[tuple[Letter, Record]]:
    for record in batch:
        if pending.holds(record.partition, record.offset):
            letter = shelf.letter(record)
            if isinstance(letter, Letter):
                yield letter, record


async def _write(replayer: Replayer, decided: list[tuple[Done, Record]]) -> None:
    await replayer.write(
        [(done.replay, record) for done, record in decided if isinstance(done.replay, Replay)]
    )
    for done, _ in decided:
        if done.replay is Skipped.SAME_REQUEST:
            await replayer.mark(done.letter)


def not_found(ids: set[str]) -> LetterNotFound:
    """For ids of which there is no letter."""
    named = ", ".join(sorted(ids)[:5])
    return LetterNotFound(
        f"no dead letter of {named}", "headrace dlq list shows those that are kept"
    )
