"""What calls took of limits on tokens is settled, learned and counted."""

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from headrace.dispatcher.breakers.board import Breakers
from headrace.dispatcher.costs import Text
from headrace.dispatcher.fleet import Fleet
from headrace.dispatcher.gate import Gate, Gatekeeper
from headrace.dispatcher.governed import Governed
from headrace.dispatcher.metrics import Metrics
from headrace.dispatcher.operated import Operated
from headrace.dispatcher.ports import Break, CallEnd
from headrace.dispatcher.seats import Seats
from headrace.dispatcher.verdicts import Fail
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.bounds import TEMPLATE_TOKENS
from headrace.schemas.config.model import Config
from headrace.schemas.errors import Code
from headrace.schemas.limits import Claim, Epoch, FlowGrant, Grants, SessionGrant, Units
from headrace.telemetry.logs import get_log
from support.dispatch import APPENDED_MS, BODY, process, waiting

GRANTED = Units(1, 5_000, 5_000)


class Keeper:
    """A gatekeeper of one model whose tokens are limited, and its metrics; the clock stands."""

    def __init__(self, *, shadow: bool = False, **model: Any) -> None:
        upstream = {"base_url": "http://127.0.0.1:1/v1"}
        limits = {"tokens_per_minute": 50_000, "shadow": shadow}
        config = Config.model_validate(
            {
                "deployments": [
                    {"name": "d", "model": "m", "upstream": upstream, "limits": limits}
                ],
                "models": {"m": model},
            }
        )
        self.registry = CollectorRegistry()
        self.gates = Gatekeeper(
            config,
            Governed(config),
            Fleet(process("own")).own,
            seats=Seats(config.deployments),
            breakers=Breakers(config, process("own")),
            metrics=Metrics(self.registry),
            clock=self,
            operated=Operated(get_log()),
        )

    def now_ms(self) -> int:
        return APPENDED_MS

    def monotonic(self) -> float:
        return 1.0

    def sent(self, request: Waiting) -> Gate:
        """It is routed, granted credits, and sent."""
        in_hand = self.gates.credits
        assert self.gates.route(request, APPENDED_MS) is None
        assert request.flow is not None
        told = in_hand.report(1_000)
        in_hand.take(Claim(Epoch(1), told.dispatcher), 1_000)
        granted = [FlowGrant(request.flow, GRANTED)]
        grants = [SessionGrant(told.session, told.mono_ms, 10_000, granted)]
        in_hand.take(Grants(Epoch(1), grants), 1_000)
        gate = self.gates.gate(request, APPENDED_MS)
        assert gate is not None
        assert gate.opens()
        return gate

    def back(self) -> tuple[int, int]:
        """Input and output tokens that the owner is told were not used."""
        (flow,) = self.gates.credits.report(1_000).flows
        return sum(one.input for one in flow.refunds), sum(one.output for one in flow.refunds)

    def counted(self, name: str, kind: str) -> float:
        labels = {"model": "m", "type": kind}
        return self.registry.get_sample_value(f"headrace_{name}_total", labels) or 0


def test_what_an_answer_tells_is_settled_and_counted() -> None:
    keeper = Keeper()
    gate = keeper.sent(waiting())
    usage = b'{"usage":{"prompt_tokens":4,"completion_tokens":1100}}'
    gate.settle(CallEnd(status=200, body=usage))
    assert keeper.back() == (5, 0)
    counted = [keeper.counted("tokens", kind) for kind in ("input", "output", "output_estimated")]
    assert counted == [4, 1_100, 0]
    assert [keeper.counted("tokens_reserved", kind) for kind in ("input", "output")] == [9, 1_024]
    assert [keeper.counted("tokens_beyond_reserve", kind) for kind in ("input", "output")] == [
        0,
        76,
    ]


@pytest.mark.parametrize(("broken", "back"), [(None, 1_024 - 60), (Break.STALL, 0)])
def test_a_whole_stream_that_does_not_tell_gives_back_what_was_not_seen(
    broken: Break | None, back: int
) -> None:
    keeper = Keeper()
    gate = keeper.sent(waiting())
    gate.settle(CallEnd(status=200, body=b"data: [DONE]\n\n", text=Text(60, 150), broken=broken))
    assert keeper.back() == (0, back)
    assert keeper.counted("tokens", "output") == 0
    assert keeper.counted("tokens", "output_estimated") == 1_024 - back


def test_a_hard_reservation_is_given_back_on_the_answers_own_word_only() -> None:
    keeper = Keeper(reserve="hard", most_output_tokens=500)
    gate = keeper.sent(waiting())
    gate.settle(CallEnd(status=200, body=b"data: [DONE]\n\n", text=Text(60, 150)))
    assert keeper.back() == (0, 0)
    gate.settle(CallEnd(status=200, usage=b'{"prompt_tokens":4,"completion_tokens":60}'))
    assert keeper.back() == (len(BODY) + TEMPLATE_TOKENS - 4, 440)


def test_a_request_without_a_bound_is_refused_where_one_is_needed() -> None:
    refusal = Keeper(reserve="hard").gates.route(waiting(), APPENDED_MS)
    assert isinstance(refusal, Fail)
    assert refusal.code is Code.REQUEST_UNBOUNDED
    assert "max_tokens" in refusal.message


@pytest.mark.parametrize(("seen", "back"), [(Text(3_000, 9_000), 0), (Text(60, 150), 0)])
def test_what_was_seen_of_a_cancelled_stream_counts_if_it_is_more_than_reserved(
    seen: Text, back: int
) -> None:
    keeper = Keeper()
    gate = keeper.sent(waiting())
    gate.left(CallEnd(status=200, text=seen))
    assert keeper.back() == (0, back)
    assert keeper.counted("tokens", "output_estimated") == max(1_024, seen.pieces)


def test_a_call_that_was_cancelled_before_anything_came_counts_as_reserved() -> None:
    keeper = Keeper()
    keeper.sent(waiting()).left(CallEnd())
    assert keeper.back() == (0, 0)


def test_a_request_without_a_bound_is_not_refused_for_a_limit_that_is_only_tried_out() -> None:
    keeper = Keeper(shadow=True, reserve="hard")
    request = waiting()
    assert keeper.gates.route(request, APPENDED_MS) is None
    assert request.cost is not None
    assert not request.cost.firm
