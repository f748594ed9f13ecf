"""A group coordinator with the eager protocol: a rebalance takes everything away before it gives any back."""

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, RebalanceInProgressError, UnknownMemberIdError
from aiokafka.structs import OffsetAndMetadata

if TYPE_CHECKING:
    from simulation.broker import Broker

SESSION_S = 8.0
REBALANCE_S = 30.0
LOOK_S = 0.5


class Membership(msgspec.Struct, frozen=True):
    """What a member is told at the end of a rebalance."""

    generation: int
    places: list[TopicPartition]


class Member:
    """One member as the coordinator knows it."""

    def __init__(self, topics: list[str], seen_at: float) -> None:
        self.topics = topics
        self.seen_at = seen_at
        self.joining: asyncio.Future[Membership] | None = None


class Group:
    """Members, generation and committed offsets of one group."""

    def __init__(self, broker: "Broker", name: str) -> None:
        self.name = name
        self.offsets: dict[TopicPartition, OffsetAndMetadata] = {}
        self._broker = broker
        self._members: dict[str, Member] = {}
        self._generation = 0
        self._balancing_since: float | None = None
        self._watched = False

    def join(self, member_id: str, topics: list[str]) -> "asyncio.Future[Membership]":
        """Ask for partitions; answered when every member has asked, or its time is over."""
        now = self._broker.loop.time()
        member = self._members.setdefault(member_id, Member(topics, now))
        member.seen_at = now
        member.joining = self._broker.loop.create_future()
        if self._balancing_since is None:
            self._balancing_since = now
        joining = member.joining
        self._watch()
        self._conclude()
        return joining

    def heartbeat(self, member_id: str, generation: int) -> None:
        """Raises what tells a member to join again."""
        member = self._known(member_id)
        member.seen_at = self._broker.loop.time()
        if self._balancing_since is not None:
            raise RebalanceInProgressError
        if generation != self._generation:
            raise UnknownMemberIdError

    def leave(self, member_id: str) -> None:
        """Go at once."""
        if self._members.pop(member_id, None) is not None:
            self._unsettle()

    def commit(
        self, member_id: str, generation: int, offsets: dict[TopicPartition, OffsetAndMetadata]
    ) -> None:
        """Raises `CommitFailedError` for a member of an older generation."""
        if member_id not in self._members or generation != self._generation:
            raise CommitFailedError("not of this generation")
        for place, offset in offsets.items():
            self.offsets[place] = offset
            self._broker.note("commit", self.name, place, offset)
            for told in self._broker.committed:
                told(self.name, place, offset)

    def _known(self, member_id: str) -> Member:
        member = self._members.get(member_id)
        if member is None:
            raise UnknownMemberIdError
        return member

    def _unsettle(self) -> None:
        if self._members and self._balancing_since is None:
            self._balancing_since = self._broker.loop.time()
        self._conclude()

    def _conclude(self) -> None:
        """End the rebalance once all have asked."""
        if self._balancing_since is None:
            return
        late = self._broker.loop.time() - self._balancing_since >= REBALANCE_S
        if late:
            self._members = {k: m for k, m in self._members.items() if m.joining is not None}
        if not self._members:
            self._balancing_since = None
            return
        if any(member.joining is None for member in self._members.values()):
            return
        self._generation += 1
        self._balancing_since = None
        for member_id, places in self._assign().items():
            member = self._members[member_id]
            joining, member.joining = member.joining, None
            member.seen_at = self._broker.loop.time()
            if joining is not None and not joining.done():
                joining.set_result(Membership(self._generation, places))

    def _assign(self) -> dict[str, list[TopicPartition]]:
        ids = sorted(self._members)
        shares: dict[str, list[TopicPartition]] = {one: [] for one in ids}
        topics = sorted({topic for member in self._members.values() for topic in member.topics})
        places = [TopicPartition(t, n) for t in topics for n in range(self._broker.topics[t])]
        for number, place in enumerate(places):
            shares[ids[number % len(ids)]].append(place)
        return shares

    def _watch(self) -> None:
        if not self._watched:
            self._watched = True
            self._broker.later(LOOK_S, self._look)

    def _look(self, *_: Any) -> None:
        """Members whose heartbeats stay away are gone."""
        self._watched = False
        now = self._broker.loop.time()
        gone = [
            member_id
            for member_id, member in self._members.items()
            if member.joining is None and now - member.seen_at > SESSION_S
        ]
        for member_id in gone:
            del self._members[member_id]
        if gone:
            self._unsettle()
        self._conclude()
        if self._members:
            self._watch()
