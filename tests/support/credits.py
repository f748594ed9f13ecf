"""An owner and holders that exchange their records at once, on one clock."""

import msgspec

from headrace.dispatcher.governor.allocation import AllocationPolicy
from headrace.dispatcher.governor.holder import Holder, Ticket
from headrace.dispatcher.governor.owner import Owner
from headrace.dispatcher.governor.tree import Tree
from headrace.dispatcher.overheard import Overheard
from headrace.schemas.journal import ProcessId
from headrace.schemas.limits import Beat, Claim, Command, Epoch, Flow, Report, Want
from headrace.schemas.names import LaneName
from headrace.schemas.tellings import encode
from support.limits import TIMING

LANES = (LaneName("interactive"), LaneName("standard"), LaneName("batch"))
PLAIN = AllocationPolicy(LANES, burst=10.0)
"""Paces that never matter."""


class Bench:
    """One owner, and a holder for each name."""

    def __init__(self, limits: Tree, *names: str, policy: AllocationPolicy = PLAIN) -> None:
        self.now = 0
        self.owner = Owner(Epoch(1), limits, policy, TIMING, 0)
        self.commands: list[tuple[int, Command]] = [(0, Claim(Epoch(1), ProcessId("g")))]
        self.reports: list[tuple[int, Report]] = []
        self.holders = {name: Holder(ProcessId(name), TIMING, 0) for name in names}
        self.cut_off: set[str] = set()
        self.heard = {name: Overheard() for name in names}
        for holder in self.holders.values():
            holder.take(self.commands[0][1], 0)

    def queue(self, name: str, of: Flow, *wants: tuple[int, int, int]) -> None:
        """(count, input, output), one after the other."""
        runs = [Want(self.now + n, i, o, c) for n, (c, i, o) in enumerate(wants)]
        self.holders[name].want(of, runs, self.now)

    def step(self, ms: int = 100) -> None:
        """Reports go up, grants come down."""
        self.now += ms
        for name, holder in self.holders.items():
            due = holder.due_ms() <= self.now or self.heard[name].left_ms(self.now) == 0
            if name not in self.cut_off and due:
                report = holder.report(self.now)
                told = encode(self.heard[name].tell(self.now))
                report = msgspec.structs.replace(report, headers=told)
                self.reports.append((self.now, report))
                self.owner.hear(report, self.now)
        for command in self.owner.tick(self.now):
            self.commands.append((self.now, command))
            if isinstance(command, Beat):
                self.owner.read_back(command)
            for name, holder in self.holders.items():
                if name not in self.cut_off:
                    holder.take(command, self.now)

    def run(self, ms: int) -> None:
        """Steps of 100 ms."""
        for _ in range(ms // 100):
            self.step()

    def spend(self, name: str, of: Flow, tokens_in: int = 0, tokens_out: int = 0) -> Ticket | None:
        """One request, if it has its credits."""
        return self.holders[name].spend(of, tokens_in, tokens_out, self.now)

    def spend_all(self, name: str, of: Flow, tokens_in: int = 0, tokens_out: int = 0) -> int:
        """As many as may be sent."""
        count = 0
        while self.spend(name, of, tokens_in, tokens_out) is not None:
            count += 1
        return count
