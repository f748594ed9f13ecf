"""What must hold at the end of a run, and at each commit: judged by the log and by what the model saw."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata
from simulation.broker import Broker
from simulation.clock import EPOCH_S, Process
from simulation.story import Request, Story
from simulation.upstream import Made, Model

from headrace.dispatcher.ports import Break
from headrace.schemas import status
from headrace.schemas.headers import H
from headrace.schemas.topics import Topics

Record = ConsumerRecord[bytes, bytes]


class Witness:
    """Sees every record and every commit as they come."""

    def __init__(self, broker: Broker, topics: Topics, story: Story) -> None:
        self._broker = broker
        self._topics = topics
        self._lane = topics.requests(story.lane)
        self.finals: defaultdict[str, list[Record]] = defaultdict(list)
        self.letters: defaultdict[str, list[Record]] = defaultdict(list)
        self.delayed: defaultdict[str, list[Record]] = defaultdict(list)
        self.ended: defaultdict[str, list[status.Terminal]] = defaultdict(list)
        self.strikes: list[tuple[float, Process]] = []
        self.found: list[str] = []
        self._verified: dict[TopicPartition, int] = {}
        broker.appended.append(self._record)
        broker.committed.append(self._commit)

    def is_over(self, request: Request) -> bool:
        """Whether its owner can see how it ended."""
        return bool(self.ended[request.id] if request.job else self.finals[request.id])

    def doubts(self, request: Request) -> bool:
        """Whether a producer died with a record of it: such a record is written twice."""
        return request.id.encode() in self._broker.doubtful

    def _record(self, record: Record, _process: Process | None) -> None:
        headers = dict(record.headers)
        request_id = (headers.get(H.ID) or record.key or b"").decode()
        if record.topic in ("out", self._topics.results):
            if headers.get(H.FINAL) == b"1":
                self.finals[request_id].append(record)
        elif record.topic == self._topics.dead_letters:
            self.letters[request_id].append(record)
        elif record.topic.startswith(f"{self._topics.prefix}delay.") and H.DUE_MS in headers:
            self.delayed[request_id].append(record)
        elif record.topic == self._topics.status:
            row = status.decode(record.value or b"")
            if isinstance(row, status.Terminal):
                self.ended[row.id].append(row)

    def _commit(self, group: str, place: TopicPartition, committed: OffsetAndMetadata) -> None:
        """P4: nothing below a committed offset is without an acknowledged outcome. P13: none goes back."""
        before = self._verified.get(place, 0)
        if committed.offset < before:
            self.found.append(
                f"P13 commit of {place} went back from {before} to {committed.offset}"
            )
        if place.topic == self._lane:
            for record in self._broker.logs[place][before : committed.offset]:
                request_id = (dict(record.headers).get(H.ID) or b"").decode()
                if not (
                    self.finals[request_id] or self.letters[request_id] or self.delayed[request_id]
                ):
                    self.found.append(
                        f"P4 {group} passed {request_id} at {place.partition}-{record.offset}"
                    )
        self._verified[place] = max(before, committed.offset)


def judge(story: Story, witness: Witness, model: Model) -> Iterator[str]:
    """Everything that did not hold."""
    yield from witness.found
    calls: defaultdict[str, list[Made]] = defaultdict(list)
    for made in model.calls:
        calls[made.id].append(made)
    for request in story.requests:
        yield from _outcome(request, witness, calls[request.id])
        yield from _executions(request, witness, calls[request.id])
        yield from _never_early(request, witness, calls[request.id])
        if story.orderly:
            yield from _left_alone(request, calls[request.id])


def _outcome(request: Request, witness: Witness, calls: list[Made]) -> Iterator[str]:
    """P1: an outcome. P2: one of it, where nothing was struck."""
    if not witness.is_over(request):
        yield f"P1 {request.id} has no outcome: {request}"
        return
    finals = witness.finals[request.id]
    if len(finals) > 1 and not witness.strikes and not witness.doubts(request):
        yield f"P2 {request.id} has {len(finals)} finals"
    if request.job:
        row = witness.ended[request.id][0]
        if row.result is not None:
            partition, offset, _ = row.result
            there = [r for r in finals if (r.partition, r.offset) == (partition, offset)]
            if not there:
                yield f"P2 the result of {request.id} is not where its row says"
    outcome = (dict(finals[0].headers)[H.OUTCOME] if finals else b"").decode()
    if outcome == "dead_lettered" and not witness.letters[request.id]:
        yield f"P15 {request.id} is told to be a dead letter and is none"


def _executions(request: Request, witness: Witness, calls: list[Made]) -> Iterator[str]:
    """P3: calls <= recorded attempts + calls in flight at each strike; never two at once.

    What was never sent reached no upstream: it is not a call.
    """
    calls = [made for made in calls if made.step.broken is not Break.NOT_SENT]
    recorded = [int(dict(r.headers).get(H.ATTEMPT, b"0")) for r in witness.finals[request.id]]
    recorded += [row.attempt for row in witness.ended[request.id]]
    attempts = max(recorded, default=0)
    struck = _strikes(witness, calls)
    if len(calls) > attempts + struck:
        yield f"P3 {request.id}: {len(calls)} calls, {attempts} attempts, {struck} in flight at strikes"
    for one, other in pairwise(calls):
        overlap = one.ended_at is None or one.ended_at > other.began_at
        if overlap and not any(process is one.process for _, process in witness.strikes):
            yield f"P3 {request.id} is called at {other.began_at:.3f} while its call before runs"


def _never_early(request: Request, witness: Witness, calls: list[Made]) -> Iterator[str]:
    """P6: not before the time that was asked for; a retry not before its record is due."""
    if request.not_before_s is not None:
        # The broker's time was asked for, and known to the producer to the millisecond.
        early = [made for made in calls if made.began_at < request.not_before_s - 0.002]
        if early:
            yield f"P6 {request.id} called at {early[0].began_at:.3f}, not before {request.not_before_s:.3f}"
    if _strikes(witness, calls) or witness.strikes:
        return
    for record in witness.delayed[request.id]:
        if H.PARKED_FROM in dict(record.headers):
            continue
        due_s = int(dict(record.headers)[H.DUE_MS]) / 1000 - EPOCH_S
        at_s = record.timestamp / 1000 - EPOCH_S
        early = [made for made in calls if at_s < made.began_at < due_s - 0.002]
        if early:
            yield f"P6 {request.id} called at {early[0].began_at:.3f}, due at {due_s:.3f}"


def _left_alone(request: Request, calls: list[Made]) -> Iterator[str]:
    """P6: a deployment that asked for time has it, whichever process calls next."""
    asked_s: defaultdict[str, float] = defaultdict(float)
    for made in calls:
        if made.began_at < asked_s[made.deployment] - 0.002:
            yield (
                f"P6 {request.id} called at {made.began_at:.3f}, "
                f"{made.deployment} wished for none before {asked_s[made.deployment]:.3f}"
            )
        if made.ended_at is not None and made.answered:
            asked_s[made.deployment] = made.ended_at + made.step.retry_after_s


def _strikes(witness: Witness, calls: list[Made]) -> int:
    """How many strikes met a process that had called the request before."""
    return sum(
        any(made.process is process and made.began_at <= at_s for made in calls)
        for at_s, process in witness.strikes
    )
