"""Route first, then ask: one deployment at a time, and another one when it does not grant."""

from typing import Any

from headrace.dispatcher.flows import FlowQueues
from headrace.dispatcher.governed import Governed
from headrace.dispatcher.routes import MOVE_MS, Routes
from headrace.dispatcher.seats import Seats
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.bounds import Cost
from headrace.schemas.config.model import Config
from headrace.schemas.names import DeploymentName, KeyName
from headrace.schemas.records import Attempt
from support.dispatch import waiting

EAST, WEST = DeploymentName("east"), DeploymentName("west")


class Place:
    """Two deployments of one model."""

    def __init__(self, east: dict[str, Any], west: dict[str, Any], **sections: Any) -> None:
        upstream = {"base_url": "http://127.0.0.1:1/v1"}
        config = Config.model_validate(
            {
                "deployments": [
                    {"name": "east", "model": "m", "upstream": upstream} | east,
                    {"name": "west", "model": "m", "upstream": upstream} | west,
                ],
                **sections,
            }
        )
        self.flows = FlowQueues(list(config.lanes), 0.1)
        self.seats = Seats(config.deployments)
        self.governed = Governed(config)
        self.routes = Routes(self.governed, self.flows, self.seats)

    def queue(self, request: Waiting | None = None, now_ms: int = 0) -> DeploymentName:
        request = request or waiting()
        assert self.routes.lead(request, now_ms)
        assert request.flow is not None
        self.flows.push(request)
        return request.flow.deployment


LIMITED = {"limits": {"requests_per_minute": 10}}


def test_requests_spread_by_weight() -> None:
    place = Place(LIMITED | {"weight": 2}, LIMITED)
    routed = [place.queue() for _ in range(9)]
    assert (routed.count(EAST), routed.count(WEST)) == (6, 3)


def test_a_repeat_goes_where_it_was_not_tried() -> None:
    place = Place(LIMITED, LIMITED)
    request = waiting()
    assert place.queue(request) == EAST
    place.flows.remove(request)
    request.history = (Attempt(1, 0, EAST, 500, "", counted=True),)
    assert place.queue(request) == WEST


def test_one_that_was_not_called_stays_where_it_was() -> None:
    place = Place(LIMITED, LIMITED)
    request = waiting()
    assert place.queue(request) == EAST
    place.flows.remove(request)
    place.seats.take(EAST)
    assert place.queue(request) == EAST


def test_what_is_not_granted_in_time_is_asked_for_elsewhere() -> None:
    place = Place(LIMITED, LIMITED)
    place.seats.in_use[WEST] = 9
    requests = [waiting() for _ in range(4)]
    assert {place.queue(one) for one in requests} == {EAST}
    place.routes.move(MOVE_MS - 1)
    assert place.flows.waiting(WEST) == 0
    place.routes.move(MOVE_MS)
    assert (place.flows.waiting(EAST), place.flows.waiting(WEST)) == (2, 2)


def test_nothing_moves_to_and_fro_between_two_that_grant_nothing() -> None:
    place = Place(LIMITED, LIMITED)
    requests = [waiting() for _ in range(6)]
    for one in requests:
        place.queue(one)
    flows = [one.flow for one in requests]
    for turn in range(1, 10):
        place.routes.move(turn * MOVE_MS)
    assert [one.flow for one in requests] == flows


def test_nothing_moves_to_a_deployment_without_a_free_seat() -> None:
    place = Place(LIMITED, {"limits": {"requests_per_minute": 10, "process_concurrency": 1}})
    place.seats.take(WEST)
    requests = [waiting() for _ in range(3)]
    for one in requests:
        place.queue(one)
    place.seats.in_use[EAST] = 0
    before = place.flows.waiting(EAST)
    place.routes.move(MOVE_MS)
    assert place.flows.waiting(EAST) == before


def test_a_request_goes_only_where_it_fits() -> None:
    small = {"limits": {"tokens_per_minute": 100}}
    place = Place(small, {"limits": {"tokens_per_minute": 1_000}})
    request = waiting()
    request.cost = Cost(50, 200, firm=True)
    assert place.queue(request) == WEST
    assert tuple(request.units) == (1, 50, 200)


def test_a_request_that_fits_nowhere_is_told_so() -> None:
    small = {"limits": {"tokens_per_minute": 100}}
    place = Place(small, small)
    request = waiting()
    request.cost = Cost(101, 0, firm=True)
    assert not place.routes.lead(request, 0)


def test_an_expectation_is_cut_to_what_a_limit_allows() -> None:
    place = Place({"limits": {"output_tokens_per_minute": 30}}, LIMITED)
    request = waiting()
    request.cost = Cost(50, 200, firm=False)
    assert place.queue(request) == EAST
    assert tuple(request.units) == (1, 50, 30)


def test_requests_of_a_key_with_limits_queue_apart() -> None:
    key = {"digest": "a" * 64, "name": "ci", "limits": {"requests_per_minute": 5}}
    place = Place(LIMITED, LIMITED, tenants={"default": {"keys": [key]}})
    flows = []
    for name in ("ci", "unknown", ""):
        request = waiting()
        request.record.key_name = KeyName(name)
        place.queue(request)
        flows.append(request.flow)
    assert [one.key for one in flows if one is not None] == ["ci", "", ""]
