"""What operators hold back waits, keeps its order, and lets others pass."""

from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from headrace.dispatcher.brakes import ASIDE_MS, Brakes
from headrace.dispatcher.breakers.board import Breakers
from headrace.dispatcher.fleet import Fleet
from headrace.dispatcher.gate import Gatekeeper
from headrace.dispatcher.governed import Governed
from headrace.dispatcher.lanes import LaneQueues
from headrace.dispatcher.metrics import Metrics
from headrace.dispatcher.operated import LOOK_MS, Operated
from headrace.dispatcher.seats import Seats
from headrace.dispatcher.waiting import Waiting
from headrace.schemas import settings
from headrace.schemas.config.model import Config
from headrace.schemas.limits import Claim, Epoch, FlowGrant, Grants, SessionGrant, Units
from headrace.schemas.names import LaneName, ModelName, Tenant
from headrace.schemas.settings import FOREVER_MS, Limit, Pause, Scope, Setting, Verb
from headrace.telemetry.logs import get_log
from support.dispatch import APPENDED_MS, process, waiting

STANDARD, BATCH, M = LaneName("standard"), LaneName("batch"), ModelName("m")


@dataclass
class Desk:
    """A dispatcher's queues, and operators who set things; `delayed` went to the delay topics."""

    deployments: list[dict[str, Any]]
    read_ahead: int = 100
    clock_ms: int = APPENDED_MS
    delayed: list[Waiting] = field(default_factory=list)
    too_large: list[Waiting] = field(default_factory=list)
    versions: int = 0

    def __post_init__(self) -> None:
        upstream = {"base_url": "http://127.0.0.1:1/v1"}
        config = Config.model_validate(
            {
                "dispatcher": {"read_ahead_records": self.read_ahead},
                "lanes": {"standard": {"deadline_s": 600}, "batch": {"deadline_s": 600}},
                "deployments": [{"model": "m", "upstream": upstream} | d for d in self.deployments],
            }
        )
        self.metrics = Metrics(CollectorRegistry())
        self.operated = Operated(get_log())
        self.seats = Seats(config.deployments)
        governed = Governed(config)
        self.gates = (
            Gatekeeper(
                config,
                governed,
                Fleet(process("own")).own,
                seats=self.seats,
                breakers=Breakers(config, process("own")),
                metrics=self.metrics,
                clock=self,
                operated=self.operated,
            )
            if governed.deployments
            else None
        )
        flows = self.gates.flows if self.gates else None
        self.queues = LaneQueues(list(config.lanes), 0.0, flows)
        self.brakes = Brakes(
            self.operated,
            config.dispatcher,
            self.queues,
            self.seats,
            self.gates,
            self.push,
            lambda one, _: self.delayed.append(one),
        )

    def now_ms(self) -> int:
        return self.clock_ms

    def monotonic(self) -> float:
        return self.clock_ms / 1000

    def push(self, one: Waiting) -> None:
        if self.brakes.hold(one, self.clock_ms):
            return
        if self.gates is None or self.gates.route(one, self.clock_ms) is None:
            self.queues.push(one)
        else:
            self.too_large.append(one)

    def read(self, tenant: str = "acme", lane: LaneName = STANDARD, at_ms: int = 0) -> Waiting:
        one = waiting(lane=lane)
        one.record.tenant = Tenant(tenant)
        one.source = msgspec.structs.replace(one.source, timestamp_ms=APPENDED_MS + at_ms)
        self.push(one)
        return one

    def set(self, setting: Setting) -> None:
        key, value = settings.key_of(setting, "n"), settings.encode(setting)
        self.operated.settings.take(key, value, self.clock_ms)
        self.operated.changed(self.clock_ms)

    def pause(self, verb: Verb, scope: Scope, name: str, lasts_ms: int = FOREVER_MS) -> None:
        self.versions += 1
        self.set(Pause(version=self.versions, verb=verb, scope=scope, name=name, until_ms=lasts_ms))

    def picked(self) -> list[Waiting]:
        found = []
        while self.seats.free(M) and (one := self.queues.pick(M)) is not None:
            found.append(one)
        return found


def test_a_paused_tenant_waits_and_others_pass() -> None:
    desk = Desk([{"name": "east"}])
    held, other = desk.read("acme"), desk.read("bolt")
    desk.pause(Verb.PAUSE, Scope.TENANT, "acme")
    late = desk.read("acme", at_ms=5)
    assert desk.picked() == [other]
    assert (desk.queues.records[STANDARD], desk.queues.held[STANDARD]) == (2, 2)
    desk.pause(Verb.RESUME, Scope.TENANT, "acme")
    assert desk.picked() == [held, late]
    assert desk.queues.records[STANDARD] == 0


@pytest.mark.parametrize(("scope", "name"), [(Scope.LANE, "standard"), (Scope.TENANT, "acme")])
def test_a_pause_ends_by_itself_and_what_waited_comes_before_what_came_later(
    scope: Scope, name: str
) -> None:
    desk = Desk([{"name": "east"}])
    desk.pause(Verb.PAUSE, scope, name, lasts_ms=5_000)
    early, later = desk.read(at_ms=1), desk.read(at_ms=2)
    desk.clock_ms += 4_999
    desk.brakes.look(desk.clock_ms, desk.metrics)
    assert desk.picked() == []
    desk.clock_ms += LOOK_MS
    desk.brakes.look(desk.clock_ms, desk.metrics)
    assert desk.picked() == [early, later]


def test_a_held_request_is_found_by_its_deadline() -> None:
    desk = Desk([{"name": "east"}])
    desk.pause(Verb.DRAIN, Scope.LANE, "standard")
    held = desk.read()
    assert desk.queues.take(lambda one: one.deadline_ms <= held.deadline_ms) == [held]
    assert (desk.queues.records[STANDARD], desk.queues.held[STANDARD]) == (0, 0)


def test_a_tenant_that_is_held_leaves_room_for_others_in_its_lane() -> None:
    desk = Desk([{"name": "east"}], read_ahead=4)
    desk.pause(Verb.PAUSE, Scope.TENANT, "acme")
    held = [desk.read() for _ in range(5)]
    assert desk.queues.held[STANDARD] == 2
    assert desk.delayed == held[2:]
    assert {one.due_ms for one in desk.delayed} == {desk.clock_ms + ASIDE_MS}
    desk.pause(Verb.PAUSE, Scope.LANE, "batch")
    assert [desk.read(lane=BATCH) for _ in range(5)]
    assert desk.queues.held[BATCH] == 5


def test_of_two_deployments_the_one_that_is_not_paused_is_called() -> None:
    desk = Desk([{"name": "east"}, {"name": "west"}])
    desk.pause(Verb.PAUSE, Scope.DEPLOYMENT, "east")
    assert desk.seats.free(M) == "west"
    desk.pause(Verb.PAUSE, Scope.DEPLOYMENT, "west")
    assert desk.seats.free(M) is None
    waits = desk.read()
    assert desk.picked() == []
    desk.pause(Verb.RESUME, Scope.DEPLOYMENT, "east")
    assert desk.picked() == [waits]


LIMITED = {"limits": {"requests_per_minute": 10, "tokens_per_minute": 5_000}}


def test_what_waits_for_credits_of_a_paused_deployment_goes_to_another() -> None:
    desk = Desk([{"name": "east"} | LIMITED, {"name": "west"} | LIMITED])
    requests = [desk.read() for _ in range(4)]
    desk.pause(Verb.DRAIN, Scope.DEPLOYMENT, "east")
    assert {one.flow.deployment for one in requests if one.flow} == {"west"}
    desk.pause(Verb.DRAIN, Scope.DEPLOYMENT, "west")
    assert desk.gates is not None
    report = desk.gates.credits.report(0)
    assert not any(told.want for told in report.flows)
    desk.pause(Verb.RESUME, Scope.DEPLOYMENT, "west")
    report = desk.gates.credits.report(0)
    assert sum(want.count for told in report.flows for want in told.want) == 4


def test_what_is_larger_than_a_limit_that_was_changed_is_not_left_waiting() -> None:
    desk = Desk([{"name": "east"} | LIMITED])
    request = desk.read()
    desk.set(Limit(version=1, scope="east", tokens_per_minute=5))
    assert desk.too_large == [request]
    desk.set(Limit(version=2, scope="east"))
    assert desk.read() not in desk.too_large


@pytest.mark.parametrize(("verb", "opens"), [(Verb.PAUSE, False), (Verb.DRAIN, True)])
@pytest.mark.parametrize(
    ("scope", "name"),
    [(Scope.LANE, "standard"), (Scope.TENANT, "acme"), (Scope.DEPLOYMENT, "east")],
)
def test_what_was_granted_credits_goes_on_in_a_drain_and_not_in_a_pause(
    verb: Verb, opens: bool, scope: Scope, name: str
) -> None:
    desk = Desk([{"name": "east"} | LIMITED])
    request = desk.read("acme")
    gates, flow = desk.gates, request.flow
    assert gates is not None
    assert flow is not None
    mono_ms = round(desk.monotonic() * 1000)
    told = gates.credits.report(mono_ms)
    granted = FlowGrant(flow, Units(1, 5_000, 5_000))
    gates.credits.take(Claim(Epoch(1), told.dispatcher), mono_ms)
    gates.credits.take(
        Grants(Epoch(1), [SessionGrant(told.session, told.mono_ms, 10_000, [granted])]), mono_ms
    )
    assert gates.covers()(request)
    gate = gates.gate(request, desk.clock_ms)
    assert gate is not None
    desk.pause(verb, scope, name)
    assert gate.opens() is opens
    assert not gates.covers()(request)
