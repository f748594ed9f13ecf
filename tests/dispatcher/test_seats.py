"""Calls in flight are bounded per deployment and shared by weight."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from headrace.dispatcher.seats import Seats
from headrace.schemas.config.model import DeploymentConfig, DeploymentLimits, UpstreamConfig
from headrace.schemas.names import DeploymentName, ModelName

M = ModelName("m")
EAST, WEST = DeploymentName("east"), DeploymentName("west")


def deployment(name: str, *, seats: int = 2, weight: int = 1, model: str = "m") -> DeploymentConfig:
    """A deployment of a model."""
    return DeploymentConfig(
        name=DeploymentName(name),
        model=ModelName(model),
        upstream=UpstreamConfig(base_url="http://127.0.0.1:9/v1"),
        weight=weight,
        limits=DeploymentLimits(process_concurrency=seats),
    )


def test_a_full_deployment_has_no_seat_until_one_is_given_back() -> None:
    seats = Seats([deployment("east", seats=1)])
    seats.take(EAST)
    assert seats.free(M) is None
    seats.give_back(EAST)
    assert seats.free(M) == EAST


def test_the_deployment_that_is_least_busy_is_next() -> None:
    seats = Seats([deployment("east"), deployment("west")])
    seats.take(EAST)
    assert seats.free(M) == WEST


def test_a_deployment_that_was_tried_is_avoided() -> None:
    seats = Seats([deployment("east"), deployment("west", seats=1)])
    assert seats.free(M, avoid=frozenset({EAST})) == WEST
    seats.take(WEST)
    assert seats.free(M, avoid=frozenset({EAST})) is None


def test_a_model_that_nobody_serves_has_no_seat() -> None:
    seats = Seats([deployment("east")])
    assert seats.free(ModelName("other")) is None
    assert not seats.serves(ModelName("other"))


def test_elsewhere_means_a_deployment_that_was_not_tried() -> None:
    seats = Seats([deployment("east"), deployment("west")])
    assert seats.elsewhere(M, frozenset({EAST}))
    assert not seats.elsewhere(M, frozenset({EAST, WEST}))


@given(st.integers(1, 9), st.integers(1, 9))
def test_long_calls_are_shared_by_weight(east: int, west: int) -> None:
    seats = Seats(
        [deployment("east", seats=1000, weight=east), deployment("west", seats=1000, weight=west)]
    )
    for _ in range(10 * (east + west)):
        free = seats.free(M)
        assert free is not None
        seats.take(free)
    assert seats.in_use == {EAST: 10 * east, WEST: 10 * west}


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 4), st.integers(1, 4))
def test_no_deployment_ever_has_more_calls_than_seats(
    steps: list[bool], east: int, west: int
) -> None:
    seats = Seats([deployment("east", seats=east), deployment("west", seats=west)])
    running: list[DeploymentName] = []
    for begins in steps:
        if begins:
            free = seats.free(M)
            assert (free is None) == (len(running) == east + west)
            if free is not None:
                seats.take(free)
                running.append(free)
        elif running:
            seats.give_back(running.pop(0))
        assert seats.in_use == {EAST: 0, WEST: 0} | Counter(running)
        assert seats.in_use[EAST] <= east
        assert seats.in_use[WEST] <= west
