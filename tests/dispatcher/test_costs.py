"""Estimates of tokens: what a body says, and what answers have told."""

import pytest

from headrace.dispatcher.costs import FIRST_OUTPUT, MOST_TENANTS, Cost, Costs, Used
from headrace.dispatcher.ports import Break, CallEnd
from headrace.dispatcher.usage import used_by
from headrace.schemas.config.model import ModelConfig
from headrace.schemas.names import Endpoint, ModelName, Tenant

M, T = ModelName("m"), Tenant("t")


def estimate(costs: Costs, body: bytes, endpoint: Endpoint = Endpoint.CHAT) -> Cost:
    return costs.estimate(M, T, endpoint, body)


def hard() -> Costs:
    return Costs({M: ModelConfig(reserve="hard")})


@pytest.mark.parametrize(
    ("body", "output"),
    [
        (b'{"max_tokens":70}', 70),
        (b'{"max_completion_tokens":70}', 70),
        (b'{"max_tokens":70,"n":3}', 210),
        (b'{"max_tokens":70.0}', 70),
        (b'{"max_tokens":-4}', 0),
        (b'{"max_tokens":1e300}', 10**12),
    ],
)
def test_the_hard_reserve_is_all_that_the_request_allows(body: bytes, output: int) -> None:
    cost = estimate(hard(), body)
    assert (cost.output, cost.firm) == (output, True)


@pytest.mark.parametrize("body", [b"{}", b'{"max_tokens":null}', b'{"max_tokens":"many"}', b"\xff"])
def test_what_says_nothing_of_its_answer_is_taken_for_usual(body: bytes) -> None:
    cost = estimate(hard(), body)
    assert (cost.output, cost.firm) == (FIRST_OUTPUT, False)


def test_the_usual_reserve_is_what_nearly_all_answers_needed() -> None:
    costs = Costs({})
    for turn in range(2_000):
        costs.used(M, T, 300, Used(100, 2_000 if turn % 50 == 0 else 400))
    assert 350 <= estimate(costs, b"{}").output <= 700
    assert estimate(costs, b'{"max_tokens":70}').output == 70


def test_the_length_of_a_token_is_learned() -> None:
    costs = Costs({})
    for _ in range(100):
        costs.used(M, T, 500, Used(100, 10))
    assert costs.bytes_per_token(M) == pytest.approx(5)
    assert estimate(costs, b"x" * 1_001).input == 201
    for _ in range(300):
        costs.used(M, T, 200, Used(100, 10))
    assert costs.bytes_per_token(M) == pytest.approx(2, rel=0.01)


def test_an_embedding_has_no_output() -> None:
    assert estimate(Costs({}), b'{"max_tokens":9}', Endpoint.EMBEDDINGS).output == 0


def test_tenants_without_end_are_not_all_remembered() -> None:
    costs = Costs({})
    for number in range(MOST_TENANTS + 10):
        costs.used(M, Tenant(str(number)), 100, Used(10, 5_000))
    assert costs.estimate(M, Tenant("0"), Endpoint.CHAT, b"{}").output == FIRST_OUTPUT
    assert costs.estimate(M, Tenant(str(MOST_TENANTS)), Endpoint.CHAT, b"{}").output == 5_000


USAGE = b'{"prompt_tokens":7,"completion_tokens":9,"total_tokens":16}'


@pytest.mark.parametrize(
    ("end", "used"),
    [
        (CallEnd(status=200, body=b'{"choices":[],"usage":%b}' % USAGE), Used(7, 9)),
        (CallEnd(status=200, body=b"data: [DONE]\n\n", usage=USAGE), Used(7, 9)),
        (CallEnd(status=200, body=b'{"usage":{"prompt_tokens":7}}'), Used(7, 0)),
        (CallEnd(status=200, body=b'{"usage":null}'), None),
        (CallEnd(status=200, body=b"data: [DONE]\n\n"), None),
        (CallEnd(status=200, body=b'{"usage":{"prompt_tokens":"x"}}'), None),
        (CallEnd(status=500, body=b'{"error":{}}'), None),
        (CallEnd(broken=Break.NOT_SENT), Used(0, 0)),
        (CallEnd(broken=Break.NO_ANSWER), None),
        (CallEnd(status=200, usage=USAGE, broken=Break.STREAM_BROKEN), None),
    ],
)
def test_what_an_answer_tells_of_its_tokens(end: CallEnd, used: Used | None) -> None:
    assert used_by(end) == used
