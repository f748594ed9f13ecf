"""Calls that another replica has taken up, on the replica that gets their answers."""

from pathlib import Path

import pytest

from headrace.ingress.index import Index, Place
from headrace.ingress.kafka.cancels import Cancels
from headrace.ingress.kafka.claims import ClaimLog
from headrace.ingress.kafka.connect import AWAY
from headrace.ingress.kafka.forward import Forward
from headrace.ingress.keys.comebacks import COUNT, Comebacks
from headrace.ingress.refusal import Refusal
from headrace.schemas.claims import Attach, Entry, Orphan
from headrace.schemas.names import DEFAULT_TENANT, Endpoint, InstanceId, RequestId
from headrace.schemas.records import RequestRecord
from headrace.schemas.replies import Reply
from headrace.schemas.topics import RESULTS_MS, Topics
from headrace.telemetry.logs import get_log
from support.board import final, waiting

KEEPER, TAKER = InstanceId("keeper"), InstanceId("taker")
ID = RequestId("r")
NOW_MS = 1_700_000_000_000
DEADLINE_MS = NOW_MS + 300_000


class Unwritten(ClaimLog):
    """The log is read by the test itself."""

    def __init__(self) -> None: ...

    async def append(self, entry: Entry) -> Place | Refusal:
        return AWAY


class Sent(Forward):
    """Keeps what it was given."""

    def __init__(self) -> None:
        super().__init__("replies", get_log())
        self.replies: list[tuple[Reply, InstanceId]] = []

    def send(self, reply: Reply, taker: InstanceId) -> None:
        self.replies.append((reply, taker))


class Keeper:
    """A replica whose client's connection broke; `now` is its clock."""

    def __init__(self, folder: Path) -> None:
        self.now = 0.0
        self.sent = Sent()
        board, self.waiter, _ = waiting()
        topics = Topics("")
        index = Index(folder, topics, RESULTS_MS, lambda: NOW_MS)
        cancels = Cancels(topics.control, b"", get_log())
        self.comebacks = Comebacks(
            KEEPER, index, Unwritten(), board, cancels, self.sent, lambda: self.now
        )

    def lose_the_client(self) -> None:
        record = RequestRecord(id=ID, body=b"{}", endpoint=Endpoint.CHAT, deadline_ms=DEADLINE_MS)
        assert self.comebacks.left(record, self.waiter, {COUNT: b"0"}, started=0.0)
        orphan = Orphan(
            tenant=record.tenant, endpoint=Endpoint.CHAT, digest="d", id=ID, instance=KEEPER,
            deadline_ms=DEADLINE_MS,
        )  # fmt: skip
        self.comebacks.read(orphan, NOW_MS)

    def hand_over(self) -> None:
        attach = Attach(
            tenant=DEFAULT_TENANT, endpoint=Endpoint.CHAT, digest="d", id=ID, instance=TAKER
        )  # fmt: skip
        self.comebacks.read(attach, NOW_MS + 1_000)

    def forward(self, seconds: float) -> None:
        self.now += seconds
        self.comebacks.sweep(self.now)


@pytest.fixture
async def keeper(tmp_path: Path) -> Keeper:
    keeper = Keeper(tmp_path)
    keeper.lose_the_client()
    keeper.hand_over()
    return keeper


async def test_an_answer_that_comes_minutes_after_the_hand_over_is_sent_on(keeper: Keeper) -> None:
    assert keeper.comebacks.sends_on
    keeper.forward(250.0)
    assert keeper.comebacks.stray(final())
    assert keeper.sent.replies == [(final(), TAKER)]
    assert not keeper.comebacks.sends_on


async def test_a_call_that_was_handed_over_is_forgotten_some_time_after_its_deadline(
    keeper: Keeper,
) -> None:
    keeper.forward(308.0)
    assert keeper.comebacks.sends_on
    keeper.forward(2.0)
    assert not keeper.comebacks.sends_on
    assert not keeper.comebacks.stray(final())
