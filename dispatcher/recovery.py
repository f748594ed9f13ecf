"""What a crash left behind is looked into before it runs: lost calls, and records that may have killed.

How it works. Three kinds of records are not taken as any other:

    convicted   killed a process on its trial: dead letter, never decoded again
    lost        begun by a session that is gone. If it was handed on before (`Chains`), that goes on;
                if its call is ambiguous its policy decides; else it runs again, as a suspect if the
                process that had it died
    unseen      may have been read by an owner that died without an orderly end: it may be what that
                owner died of, before it could say that it had begun. Where its body must be decoded,
                and where it is called, this is announced in the journal first, one record at a time
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine

from headrace.dispatcher.intake import Unreadable, lost_attempt, needs_decoding, understand, unseen
from headrace.dispatcher.kafka.chains import Chains
from headrace.dispatcher.kafka.journals import JournalWriter
from headrace.dispatcher.metrics import Metrics
from headrace.dispatcher.outcome import of_error
from headrace.dispatcher.policy.ambiguous import AmbiguousPolicy
from headrace.dispatcher.settle import Settlement
from headrace.dispatcher.source_record import SourceRecord
from headrace.dispatcher.tenure import Tenure
from headrace.dispatcher.trials import Trials
from headrace.dispatcher.verdicts import Reason
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.config.model import Config
from headrace.schemas.errors import Code
from headrace.schemas.handover import ENDED
from headrace.schemas.journal import CONVICTED, ProcessId, process_of
from headrace.schemas.names import Ambiguous, Outcome

Spawn = Callable[[Coroutine[None, None, None]], None]
Accept = Callable[[Tenure, SourceRecord, Waiting | Unreadable], None]
"""Takes what was made of a record, as of any other."""

_CRASHED = "processes that took this record died of it"
_AMBIGUOUS = "the process that made the call died before its end was known"


class Recovery:
    """One per process."""

    def __init__(
        self,
        config: Config,
        *,
        journals: JournalWriter,
        chains: Chains,
        settlement: Settlement,
        ambiguous: AmbiguousPolicy,
        metrics: Metrics,
    ) -> None:
        self._lanes = config.lanes
        self._journals = journals
        self._chains = chains
        self._settlement = settlement
        self._ambiguous = ambiguous
        self._metrics = metrics
        self._trials = Trials()
        self._unseen: deque[tuple[Tenure, SourceRecord]] = deque()
        self._looking = False

    def take(self, tenure: Tenure, record: SourceRecord, accept: Accept, spawn: Spawn) -> None:
        """A record for which `tenure.suspicious` holds."""
        if tenure.crashes.get(record.offset, 0) >= CONVICTED:
            lost = abs(tenure.lost.get(record.offset, 0))
            refused = unseen(
                record, Code.CRASHED_WORKER, _CRASHED, Reason.CRASHED_WORKER, lost=lost
            )
            accept(tenure, record, refused)
        elif record.offset in tenure.lost:
            spawn(self._look_into(tenure, record, accept))
        elif needs_decoding(record):
            self._unseen.append((tenure, record))
            if not self._looking:
                self._looking = True
                spawn(self._look_at_unseen(accept))
        else:
            request = understand(record, tenure, self._lanes[tenure.lane])
            if isinstance(request, Waiting):
                request.careful = True
            accept(tenure, record, request)

    def matured(
        self, waiting: Waiting, alive: Callable[[ProcessId], bool], run: Callable[[Waiting], None]
    ) -> Coroutine[None, None, None] | None:
        """The time of a parked copy has come; what is to be awaited. None: its call may still run.

        `run` takes it if it must be called.
        """
        parked, marks = waiting.parked, waiting.tenure.marks
        if parked is None:
            raise ValueError("only a parked copy can be matured")
        if any(mark.session == ENDED for mark in marks.of(parked.place)):
            self._journals.finished(waiting.tenure, waiting.offset, "superseded")
            return _nothing()
        if alive(process_of(parked.session)):
            return None
        return self._replace(waiting, run)

    async def _replace(self, waiting: Waiting, run: Callable[[Waiting], None]) -> None:
        """The process of a parked call is dead, and has not told of its end."""
        tenure, parked = waiting.tenure, waiting.parked
        goes_on = await self._chains.goes_on(waiting)
        if not tenure.owned or parked is None:
            return
        if goes_on:
            self._metrics.duplicates.inc()
            self._journals.finished(tenure, waiting.offset, "delayed")
            return
        waiting.parked = None
        if waiting.attempt <= parked.attempt:
            waiting.history = (*waiting.history, lost_attempt(parked.attempt, waiting.due_ms))
            waiting.attempt = parked.attempt + 1
        if not await self._is_over(waiting):
            run(waiting)

    def turn(self, now_s: float) -> list[Waiting]:
        """Suspects that may run now; none while records are read that may have killed."""
        turns: list[Waiting] = []
        if self._looking:
            return turns
        while (turn := self._trials.turn(now_s)) is not None:
            for over in turn.over:
                self._journals.tried(over.tenure, over.offset, begins=False)
            if turn.suspect is not None:
                self._settlement.begin(turn.suspect)
                turns.append(turn.suspect)
        return turns

    def quiet_s(self, now_s: float, most_s: float) -> float:
        """How long `turn` has nothing to say, as long as no suspect ends; at most `most_s`."""
        return most_s if self._looking else self._trials.quiet_s(now_s, most_s)

    async def _look_into(self, tenure: Tenure, record: SourceRecord, accept: Accept) -> None:
        waiting = understand(record, tenure, self._lanes[tenure.lane])
        if isinstance(waiting, Unreadable):
            accept(tenure, record, waiting)
            return
        if not tenure.delay_ms:
            known = waiting.record
            tenure.seen.look(known.tenant, known.id, known.replays, known.body)
        progress = tenure.lost[record.offset]
        copied, waiting.parked = waiting.parked, None
        goes_on = await self._chains.goes_on(waiting)
        waiting.parked = copied
        if not tenure.owned:
            return  # whoever owns it now looks into it
        if goes_on:
            self._metrics.duplicates.inc()
            self._journals.finished(tenure, record.offset, "delayed")
        elif progress <= 0 or not await self._is_over(waiting):
            self._run(tenure, record, waiting, accept)

    async def _is_over(self, waiting: Waiting) -> bool:
        """Whether an ambiguous call is not to be repeated; its owner is told then."""
        self._metrics.ambiguous.inc()
        match self._ambiguous.of(waiting.record, waiting.model):
            case Ambiguous.RETRY:
                return False
            case Ambiguous.FAIL:
                self._settlement.begin(waiting)
                ending = of_error(Outcome.FAILED, Code.AMBIGUOUS_CALL, _AMBIGUOUS)
                await self._settlement.answer(waiting, ending)
            case Ambiguous.PARK:
                self._settlement.begin(waiting)
                ending = of_error(Outcome.DEAD_LETTERED, Code.AMBIGUOUS_CALL, _AMBIGUOUS)
                await self._settlement.dead_letter(waiting, Reason.AMBIGUOUS, _AMBIGUOUS, ending)
        return True

    def _run(self, tenure: Tenure, record: SourceRecord, waiting: Waiting, accept: Accept) -> None:
        crashes = tenure.crashes.get(record.offset, 0)
        if crashes:
            waiting.suspect = True
            self._trials.add(waiting, crashes)
        else:
            accept(tenure, record, waiting)

    async def _look_at_unseen(self, accept: Accept) -> None:
        """Announce each record, then decode it: a process that dies of it has named it.

        The end of a trial need not be awaited: the next announcement is written after it.
        """
        for suspect in self._trials.suspend():
            self._journals.tried(suspect.tenure, suspect.offset, begins=False)
        while self._unseen:
            tenure, record = self._unseen.popleft()
            if not tenure.owned:
                continue
            self._journals.started(tenure, record.offset, 0)
            self._journals.tried(tenure, record.offset, begins=True)
            await self._journals.flush()
            waiting = understand(record, tenure, self._lanes[tenure.lane])
            self._journals.tried(tenure, record.offset, begins=False)
            if not tenure.owned:
                self._journals.give_up(tenure, record.offset)
                continue
            if isinstance(waiting, Waiting):
                waiting.started = waiting.careful = True
            accept(tenure, record, waiting)
            await asyncio.sleep(0)
        self._looking = False


async def _nothing() -> None:
    """Nothing is to be awaited."""
