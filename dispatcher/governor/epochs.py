"""Who owns a partition: decided by the order of its log, so that a zombie's grants change nothing.

A record counts if its epoch is the highest before it. Of two claims with one number the first counts. So all
who read the log agree, whatever each writer believed; the loser reads that it lost, and grants nothing.
"""

from typing import Final

from headrace.dispatcher.governor.timing import Timing
from headrace.schemas.journal import ProcessId
from headrace.schemas.limits import Claim, Command, Epoch

MOST_UNKNOWN: Final = 1_000_000
"""Owners of which nothing stands in the log any more: one a minute for two years."""


class Epochs:
    """The fold over one partition of grants, from wherever its reader began."""

    def __init__(self) -> None:
        """Nothing was read yet."""
        self.current = Epoch(0)

    def counts(self, command: Command) -> bool:
        """Take the next record of the log; False if it is to be ignored."""
        if isinstance(command, Claim):
            if command.epoch <= self.current:
                return False
        elif command.epoch < self.current:
            return False
        self.current = command.epoch
        return True


class Contest:
    """One governor's part in the question who owns the partition. No I/O; `now_ms` is monotonic.

    It begins to read where a takeover would (`Timing.lookback_ms` and `prefix_ms`), or at the beginning if
    there is nothing, and claims only when it has read to the end of that time: a claim below an epoch that
    it has not read would be believed by dispatchers that have not read that one either.
    """

    def __init__(self, name: ProcessId, rank: int, timing: Timing, now_ms: int) -> None:
        """`rank` is its place among the governors that live; each waits longer than the one before."""
        self._name = name
        self._timing = timing
        self.rank = rank
        self.epochs = Epochs()
        self._heard_ms = now_ms
        self._caught_up = False
        self._floor = Epoch(0)
        self._claimed: Epoch | None = None

    def follow(self, command: Command, now_ms: int) -> bool:
        """Take the next record of the grants; True if it made this governor the owner."""
        if not self.epochs.counts(command):
            return False
        self._heard_ms = now_ms
        if isinstance(command, Claim):
            mine = command.owner == self._name and command.epoch == self._claimed
            self._claimed = None
            return mine
        return False

    def caught_up(self, now_ms: int) -> None:
        """All that stood in the log when this governor started was read."""
        if not self._caught_up:
            self._caught_up = True
            self._heard_ms = now_ms

    def heard_of(self, epoch: Epoch) -> bool:
        """A dispatcher knows of this owner: a claim must be above it, or that one would ignore it.

        False: so many owners there cannot have been, it is not believed.
        """
        if epoch > self.epochs.current + MOST_UNKNOWN:
            return False
        self._floor = max(self._floor, epoch)
        return True

    def tick(self, now_ms: int) -> Claim | None:
        """The record to write when the owner has been silent for too long."""
        timing = self._timing
        wait_ms = timing.claim_after_ms + timing.claim_step_ms * self.rank
        if not self._caught_up or now_ms - self._heard_ms < wait_ms:
            return None
        self._heard_ms = now_ms
        self._claimed = Epoch(max(self.epochs.current, self._floor) + 1)
        return Claim(self._claimed, self._name)
