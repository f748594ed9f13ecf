"""All breakers of a process: where requests go, and what is reported."""

import pytest

from headrace.dispatcher.breakers.board import CALM_MS, NEWS_MS, Breakers
from headrace.dispatcher.breakers.switch import LOCAL
from headrace.dispatcher.breakers.watch import Watch
from headrace.dispatcher.placing import CANDIDATES, Placing
from headrace.dispatcher.policy.decide import decide
from headrace.dispatcher.ports import CallEnd
from headrace.dispatcher.seats import Seats
from headrace.dispatcher.verdicts import Defer, Dispatch, Fail
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.breakers import Probe, ProbeEnd, Row, State
from headrace.schemas.config.model import Config
from headrace.schemas.errors import Code
from headrace.schemas.names import DeploymentName, ModelName
from headrace.schemas.records import Attempt
from support.dispatch import APPENDED_MS, process, waiting

OWN = process("own")
EAST, WEST, LONE = DeploymentName("east"), DeploymentName("west"), DeploymentName("lone")
PAIR, ALONE = ModelName("pair"), ModelName("alone")
OPEN_MS = 15_000


class Hand:
    """A clock that is put forward."""

    def __init__(self) -> None:
        self.ms = APPENDED_MS

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1000


class Process:
    """The parts of a dispatcher that have to do with breakers."""

    def __init__(self, mode: str = "enforce") -> None:
        upstream = {"base_url": "http://127.0.0.1:1/v1"}
        models = {EAST: PAIR, WEST: PAIR, LONE: ALONE}
        deployments = [
            {"name": name, "model": model, "upstream": upstream} for name, model in models.items()
        ]
        config = Config.model_validate({"deployments": deployments, "breaker": {"mode": mode}})
        self.clock = Hand()
        self.breakers = Breakers(config, OWN)
        self.seats = Seats(config.deployments)
        self.placing = Placing(self.seats, self.breakers, self.fits)
        self.too_small: set[DeploymentName] = set()

    def fits(self, _waiting: Waiting, deployment: DeploymentName) -> bool:
        return deployment not in self.too_small

    def obey(self, name: DeploymentName, state: State, **more: object) -> None:
        fields = {"deployment": name, "epoch": 1, "state": state, "since_ms": self.clock.ms} | more
        self.breakers.obey(Row(**fields), self.clock.ms)  # type: ignore[arg-type]

    def open(self, name: DeploymentName) -> None:
        self.obey(name, State.OPEN, share=0.0, open_until_ms=self.clock.ms + OPEN_MS)

    def watch(self, name: DeploymentName) -> Watch:
        watch = self.breakers.watch(name, waiting(model=PAIR), self.clock)
        assert watch is not None
        return watch

    def call(self, name: DeploymentName, status: int) -> None:
        watch = self.watch(name)
        watch.sent()
        watch.ended(CallEnd(status=status))


@pytest.fixture
def dispatcher() -> Process:
    return Process()


def test_requests_go_where_the_breaker_lets_them(dispatcher: Process) -> None:
    dispatcher.open(EAST)
    assert dispatcher.placing.free(PAIR, dispatcher.clock.ms) == WEST
    request = waiting(model=PAIR)
    assert dispatcher.placing.place(request, WEST, dispatcher.clock.ms) == WEST
    dispatcher.open(WEST)
    assert dispatcher.placing.free(PAIR, dispatcher.clock.ms) is None


def test_a_request_that_is_refused_everywhere_waits_for_the_first_that_may_open(
    dispatcher: Process,
) -> None:
    dispatcher.open(EAST)
    dispatcher.clock.ms += 1_000
    dispatcher.open(WEST)
    now_ms, request = dispatcher.clock.ms, waiting(model=PAIR)
    assert dispatcher.placing.stuck(now_ms)(request)
    assert dispatcher.placing.until_ms(request, now_ms) == now_ms - 1_000 + OPEN_MS
    assert not dispatcher.placing.stuck(now_ms)(waiting(model=ALONE))


def test_where_a_request_cannot_go_it_does_not_look_for_an_open_breaker(
    dispatcher: Process,
) -> None:
    """It looked again ten times a second, and its lane was read on without end meanwhile."""
    dispatcher.open(EAST)
    now_ms, request = dispatcher.clock.ms, waiting(model=PAIR)
    assert dispatcher.placing.until_ms(request, now_ms) == 0
    dispatcher.too_small = {WEST}
    assert dispatcher.placing.until_ms(request, now_ms) == now_ms + OPEN_MS
    dispatcher.too_small = set()
    dispatcher.seats.closed = frozenset({WEST})
    assert dispatcher.placing.until_ms(request, now_ms) == now_ms + OPEN_MS


def test_what_is_paused_stays_in_its_queue_whatever_its_breaker_says(dispatcher: Process) -> None:
    dispatcher.open(LONE)
    now_ms, request = dispatcher.clock.ms, waiting(model=ALONE)
    assert dispatcher.placing.stuck(now_ms)(request)
    dispatcher.seats.closed = frozenset({LONE})
    assert not dispatcher.placing.stuck(now_ms)(request)


def test_what_failed_where_nothing_works_does_not_wait_in_its_queue(dispatcher: Process) -> None:
    for _ in range(LOCAL.failures):
        dispatcher.call(LONE, 500)
    failed, fresh, now_ms = waiting(model=ALONE), waiting(model=ALONE), dispatcher.clock.ms
    failed.history = (Attempt(1, now_ms, LONE, 500, "server_error"),)
    assert dispatcher.placing.stuck(now_ms)(failed)
    assert not dispatcher.placing.stuck(now_ms)(fresh)
    assert dispatcher.placing.until_ms(failed, now_ms) > now_ms


def test_a_request_is_put_off_or_fails_at_once_if_its_deadline_comes_first() -> None:
    request = waiting()
    until_ms = request.deadline_ms - 1
    now = {"now_ms": APPENDED_MS, "cancelled": False}
    assert decide(request, deployment=None, until_ms=until_ms, **now) == Defer(until_ms)
    failed = decide(request, deployment=None, until_ms=until_ms + 1, **now)
    assert isinstance(failed, Fail)
    assert failed.code is Code.UPSTREAM_UNAVAILABLE
    assert failed.retry_ms == until_ms + 1 - now["now_ms"]
    assert decide(request, deployment=EAST, until_ms=until_ms + 1, **now) == Dispatch(EAST)


def test_a_repeat_is_not_sent_where_everything_fails_before_the_owner_has_spoken(
    dispatcher: Process,
) -> None:
    for _ in range(5):
        dispatcher.call(EAST, 503)
    dispatcher.clock.ms += 1_000
    fresh, repeated = waiting(model=PAIR), waiting(model=PAIR)
    repeated.history = (Attempt(1, APPENDED_MS, EAST, 503, "", counted=True),)
    assert dispatcher.placing.place(fresh, EAST, dispatcher.clock.ms) == EAST
    assert dispatcher.placing.place(repeated, EAST, dispatcher.clock.ms) == WEST


def test_a_few_requests_stay_in_the_queue_of_a_half_open_deployment(dispatcher: Process) -> None:
    dispatcher.obey(LONE, State.HALF_OPEN, share=0.0)
    stuck = dispatcher.placing.stuck(dispatcher.clock.ms)
    assert [stuck(waiting(model=ALONE)) for _ in range(CANDIDATES + 2)] == [
        *[False] * CANDIDATES,
        True,
        True,
    ]


def test_a_probe_is_sent_first_though_another_deployment_is_free(dispatcher: Process) -> None:
    lent = (Probe(1, OWN, dispatcher.clock.ms + 60_000),)
    dispatcher.obey(WEST, State.HALF_OPEN, share=0.0, probes=lent)
    request = waiting(model=PAIR)
    assert dispatcher.placing.place(request, EAST, dispatcher.clock.ms) == WEST
    dispatcher.watch(WEST)
    assert dispatcher.placing.place(request, EAST, dispatcher.clock.ms) == EAST


def test_the_end_of_a_probe_is_told_until_the_row_shows_it(dispatcher: Process) -> None:
    lent = (Probe(1, OWN, dispatcher.clock.ms + 60_000),)
    dispatcher.obey(WEST, State.HALF_OPEN, share=0.0, probes=lent)
    dispatcher.call(WEST, 200)
    for _ in range(2):
        assert dispatcher.breakers.left_ms(dispatcher.clock.ms) is not None
        told = dispatcher.breakers.outcomes(dispatcher.clock.ms)
        assert [(end.probe, end.end) for end in told.ends] == [(1, ProbeEnd.PASSED)]
        dispatcher.clock.ms += CALM_MS
    dispatcher.obey(WEST, State.RAMP, share=0.1)
    assert dispatcher.breakers.outcomes(dispatcher.clock.ms).ends == []


def test_a_probe_whose_call_is_not_made_is_given_back(dispatcher: Process) -> None:
    lent = (Probe(1, OWN, dispatcher.clock.ms + 60_000),)
    dispatcher.obey(WEST, State.HALF_OPEN, share=0.0, probes=lent)
    watch = dispatcher.watch(WEST)
    watch.close()
    watch.close()
    told = dispatcher.breakers.outcomes(dispatcher.clock.ms)
    assert [end.end for end in told.ends] == [ProbeEnd.RENOUNCED]


def test_good_calls_are_told_within_a_second_and_failures_at_once(dispatcher: Process) -> None:
    assert dispatcher.breakers.left_ms(dispatcher.clock.ms) is None
    dispatcher.breakers.outcomes(dispatcher.clock.ms)
    dispatcher.call(EAST, 200)
    assert dispatcher.breakers.left_ms(dispatcher.clock.ms) == CALM_MS
    dispatcher.call(EAST, 500)
    assert dispatcher.breakers.left_ms(dispatcher.clock.ms) == NEWS_MS


def test_a_change_is_told_twice_and_then_no_more(dispatcher: Process) -> None:
    dispatcher.call(EAST, 200)
    dispatcher.clock.ms += 1
    told = []
    for _ in range(4):
        told.append(len(dispatcher.breakers.outcomes(dispatcher.clock.ms).calls))
        dispatcher.clock.ms += CALM_MS
    assert told == [1, 1, 0, 0]
    assert dispatcher.breakers.left_ms(dispatcher.clock.ms) is None


def test_a_disabled_breaker_looks_at_nothing() -> None:
    dispatcher = Process("disabled")
    assert dispatcher.breakers.watch(EAST, waiting(model=PAIR), dispatcher.clock) is None
