"""The credits of one dispatcher, on an owner that answers at once."""

from collections.abc import Mapping

from headrace.dispatcher.credits import Credits, Promise
from headrace.dispatcher.flows import FlowQueues
from headrace.dispatcher.governed import Governed
from headrace.dispatcher.seats import Seats
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.config.model import Config
from headrace.schemas.limits import Flow, Units
from headrace.schemas.names import DeploymentName
from support.credits import LANES, Bench
from support.dispatch import waiting
from support.limits import flow, tree

F = flow()
ONE = Units(1)


class Process:
    """The credits of one dispatcher, beside its owner."""

    def __init__(
        self, *, local: int = 64, sections: Mapping[str, object] = {}, **caps: int
    ) -> None:
        self.bench = Bench(tree(**caps), "one")
        upstream = {"base_url": "http://127.0.0.1:1/v1"}
        config = {"name": "d", "model": "m", "upstream": upstream}
        limits = {"process_concurrency": local, "requests_per_minute": 1_000}
        if "seats" in caps:
            limits["concurrency"] = caps["seats"]
        deployments = [config | {"limits": limits}, config | {"name": "free"}]
        read = Config.model_validate({"deployments": deployments, **sections})
        self.seats = Seats(read.deployments)
        self.flows = FlowQueues(LANES, 0.1)
        self.credits = Credits(self.bench.holders["one"], self.flows, self.seats, Governed(read))

    def queue(self, count: int, units: Units = ONE, of: Flow = F) -> list[Waiting]:
        """Queue requests of one flow, one after the other."""
        out = []
        for _ in range(count):
            request = waiting(lane=of.lane)
            request.flow, request.units = of, units
            self.flows.push(request)
            out.append(request)
        return out

    def step(self) -> None:
        """300 ms pass, reports go up and grants come down."""
        for _ in range(3):
            self.credits.due_ms(self.bench.now)
            self.bench.step()

    def turn(self) -> list[Promise]:
        """100 ms pass after a report that shares anew; dispatches what is covered."""
        self.bench.owner.hear(self.credits.report(self.bench.now), self.bench.now)
        self.bench.step()
        return self.dispatch()

    def serve(self, ms: int) -> list[Promise]:
        """Calls that take 100 ms each; returns them."""
        served = []
        for _ in range(ms // 100):
            promises = self.turn()
            for promise in promises:
                assert self.spend(promise)
                self.close(promise)
            served += promises
        return served

    def dispatch(self) -> list[Promise]:
        """Dispatch what is covered."""
        promises = []
        while (request := self.flows.pick(DeploymentName("d"), self.credits.covers)) is not None:
            self.seats.take(DeploymentName("d"))
            promises.append(self.credits.promise(request))
        return promises

    def spend(self, promise: Promise) -> bool:
        return self.credits.spend(promise, self.bench.now)

    def close(self, promise: Promise) -> None:
        self.seats.give_back(DeploymentName("d"))
        self.credits.close(promise, self.bench.now)

    def wanted(self, of: Flow = F) -> int:
        """How many requests the owner is told of."""
        self.credits.report(self.bench.now)
        return sum(want.count for want in self.bench.holders["one"].purse(of).queue)
