"""Tokens that requests take: what a body says, what answers have told, and bounds."""

import json
import random
from math import log
from typing import Any

import pytest

from headrace.dispatcher.costs import (
    FIRST_MEDIA,
    FIRST_OUTPUT,
    MOST_TENANTS,
    Costs,
    Text,
    Used,
)
from headrace.dispatcher.ports import Break, CallEnd
from headrace.dispatcher.usage import used_by
from headrace.schemas.asked import MOST_PARTS
from headrace.schemas.bounds import TEMPLATE_TOKENS, Cost, Unbounded
from headrace.schemas.config.model import ModelConfig
from headrace.schemas.limits import Units
from headrace.schemas.names import Endpoint, ModelName, Tenant

M, T = ModelName("m"), Tenant("t")
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "Ab" * 350_000}}
LINK = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
AUDIO = {"type": "input_audio", "input_audio": {"data": "Ab" * 9_000, "format": "wav"}}
FILE = {"type": "file", "file": {"file_id": "file-1"}}
WORDS = {"type": "text", "text": "x" * 300}


def estimate(costs: Costs, body: bytes, endpoint: Endpoint = Endpoint.CHAT) -> Cost:
    cost = costs.estimate(M, T, endpoint, body)
    assert isinstance(cost, Cost)
    return cost


def hard(**sections: Any) -> Costs:
    return Costs({M: ModelConfig(reserve="hard", **sections)})


def said(parts: list[Any], **fields: Any) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": parts}], **fields}).encode()


def tell(costs: Costs, sent: int, used: Used, *, tenant: Tenant = T, media: int = 0) -> None:
    costs.used(M, tenant, Cost(0, 0, firm=False, text_bytes=sent, media=media), used)


@pytest.mark.parametrize(
    ("body", "output"),
    [
        (b'{"max_tokens":70}', 70),
        (b'{"max_completion_tokens":70}', 70),
        (b'{"max_completion_tokens":70,"max_tokens":90}', 90),
        (b'{"max_tokens":70,"n":3}', 210),
        (b'{"max_tokens":70.0}', 70),
        (b'{"max_tokens":1e300,"n":1e300}', 10**12),
    ],
)
def test_the_hard_reserve_is_all_that_the_request_allows(body: bytes, output: int) -> None:
    cost = estimate(hard(), body)
    assert (cost.output, cost.firm) == (output, True)


@pytest.mark.parametrize(
    ("prompt", "answers"),
    [('"a"', 1), ('["a","b"]', 2), ("[ 1,2,3]", 1), ("[[1],[2],[3]]", 3), ("[]", 1)],
)
def test_each_prompt_of_a_completion_has_answers_of_its_own(prompt: str, answers: int) -> None:
    body = f'{{"prompt":{prompt},"max_tokens":10,"n":2,"best_of":4}}'.encode()
    assert estimate(hard(), body, Endpoint.COMPLETIONS).output == answers * 40


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"max_tokens":null}',
        b'{"max_tokens":-1}',
        b'{"max_tokens":0}',
        b'{"max_tokens":9,"max_completion_tokens":-1}',
    ],
)
def test_a_request_that_states_no_bound_has_that_of_its_model_or_is_refused(body: bytes) -> None:
    assert hard().estimate(M, T, Endpoint.CHAT, body) is Unbounded.OUTPUT
    assert estimate(hard(most_output_tokens=500), body).output == 500


@pytest.mark.parametrize(
    "body", [b'{"max_tokens":"many"}', b'{"messages":{}}', b'{"n":"3"}', b"\xff", b"[" * 90_000]
)
def test_what_cannot_be_read_has_no_bound(body: bytes) -> None:
    costs = hard(most_output_tokens=500)
    assert costs.estimate(M, T, Endpoint.CHAT, body) is Unbounded.FORM
    cost = estimate(Costs({}), body)
    assert (cost.output, cost.firm) == (FIRST_OUTPUT, False)


def test_no_answer_is_longer_than_its_models_longest() -> None:
    assert estimate(hard(most_output_tokens=500), b'{"max_tokens":9000,"n":2}').output == 1_000
    usual = Costs({M: ModelConfig(most_output_tokens=500)})
    assert estimate(usual, b"{}").output == 500


def test_the_hard_reserve_of_input_is_a_token_for_each_byte_whatever_was_learned() -> None:
    costs, body = hard(), '{"max_tokens":1,"prompt":"\u00e9\u4f60"}'.encode()
    for _ in range(100):
        tell(costs, 500, Used(100, 10))
    assert estimate(costs, body).input == len(body) + TEMPLATE_TOKENS
    assert estimate(costs, body, Endpoint.EMBEDDINGS) == Cost(
        len(body) + TEMPLATE_TOKENS, 0, firm=True, text_bytes=len(body)
    )


@pytest.mark.parametrize("part", [IMAGE, LINK, AUDIO, FILE, {"image_url": "https://example.com"}])
def test_bytes_are_no_bound_of_media(part: dict[str, Any]) -> None:
    body = said([WORDS, part, part], max_tokens=1)
    assert hard().estimate(M, T, Endpoint.CHAT, body) is Unbounded.MEDIA
    escaped = body.replace(b'"type"', b'"\\u0074ype"')
    assert hard().estimate(M, T, Endpoint.CHAT, escaped) is Unbounded.MEDIA
    text = len(body) - 2 * len(json.dumps(part))
    assert estimate(hard(media_tokens=2_000), body).input == text + TEMPLATE_TOKENS + 4_000


def test_parts_without_end_are_not_looked_at() -> None:
    """A body of 4 MiB could hold a million of them, and everything else up for half a second."""
    body = said([{}] * (MOST_PARTS + 1), max_tokens=5)
    assert hard(media_tokens=1).estimate(M, T, Endpoint.CHAT, body) is Unbounded.FORM
    assert estimate(Costs({}), body).media == 0


def test_a_spoken_answer_that_is_sent_back_is_media() -> None:
    body = b'{"messages":[{"role":"assistant","audio":{"id":"a"}}],"max_tokens":1}'
    assert hard().estimate(M, T, Endpoint.CHAT, body) is Unbounded.MEDIA


def test_a_large_image_does_not_count_by_its_bytes() -> None:
    assert estimate(Costs({}), said([WORDS, IMAGE])).input < FIRST_MEDIA + 200
    assert estimate(Costs({}), said([WORDS, "words"])).media == 0
    configured = Costs({M: ModelConfig(media_tokens=300)})
    assert 600 < estimate(configured, said([IMAGE, LINK])).input < 650


def test_what_media_take_is_learned_apart_from_text() -> None:
    costs = Costs({})
    for _ in range(100):
        tell(costs, 300, Used(100 + 2 * 900, 10), media=2)
    assert costs.bytes_per_token(M) == pytest.approx(3)
    assert 900 < estimate(costs, said([IMAGE])).input < 950


def test_the_estimate_of_output_is_what_nearly_all_answers_needed() -> None:
    costs = Costs({})
    for turn in range(2_000):
        tell(costs, 300, Used(100, 2_000 if turn % 50 == 0 else 400))
    assert 350 <= estimate(costs, b"{}").output <= 700
    assert estimate(costs, b'{"max_tokens":70}').output == 70


@pytest.mark.parametrize(("sigma", "most"), [(0.5, 0.03), (1.0, 0.11), (1.5, 0.21)])
def test_answers_take_little_more_than_the_estimate(sigma: float, most: float) -> None:
    """The figures of docs/tokens.md."""
    draw, costs, beyond, taken = random.Random(1), Costs({}), 0, 0
    for turn in range(20_000):
        output = min(16_384, round(draw.lognormvariate(log(300), sigma)))
        if turn >= 1_000:
            beyond += max(0, output - estimate(costs, b"{}").output)
            taken += output
        tell(costs, 300, Used(100, output))
    assert beyond <= most * taken


def test_the_length_of_a_token_is_learned() -> None:
    costs = Costs({})
    for _ in range(100):
        tell(costs, 500, Used(100, 10))
    assert costs.bytes_per_token(M) == pytest.approx(5)
    assert estimate(costs, b"x" * 1_001).input == 201
    for _ in range(300):
        tell(costs, 200, Used(100, 10))
    assert costs.bytes_per_token(M) == pytest.approx(2, rel=0.01)


def test_an_embedding_has_no_output() -> None:
    assert estimate(Costs({}), b'{"max_tokens":9}', Endpoint.EMBEDDINGS).output == 0


def test_tenants_without_end_are_not_all_remembered() -> None:
    costs = Costs({})
    for number in range(MOST_TENANTS + 10):
        tell(costs, 100, Used(10, 5_000), tenant=Tenant(str(number)))
    first = costs.estimate(M, Tenant("0"), Endpoint.CHAT, b"{}")
    last = costs.estimate(M, Tenant(str(MOST_TENANTS)), Endpoint.CHAT, b"{}")
    assert isinstance(first, Cost)
    assert isinstance(last, Cost)
    assert (first.output, last.output) == (FIRST_OUTPUT, 5_000)


RESERVED = Units(1, 40, 1_000)


def guess(costs: Costs, text: Text, *, whole: bool = True) -> Used | None:
    return costs.guess(M, T, RESERVED, text, whole=whole)


@pytest.mark.parametrize(
    ("text", "used"),
    [
        (Text(), None),
        (Text(50, 90), Used(40, 50)),
        (Text(2, 90), Used(40, 30)),
        (Text(1_200, 3_000), Used(40, 1_200)),
    ],
)
def test_a_stream_that_does_not_tell_took_what_was_seen_of_it(
    text: Text, used: Used | None
) -> None:
    assert guess(Costs({}), text) == used


def test_a_broken_stream_may_have_taken_all_that_was_reserved() -> None:
    assert guess(Costs({}), Text(50, 90), whole=False) == Used(40, 1_000)
    assert guess(Costs({}), Text(1_200, 90), whole=False) == Used(40, 1_200)


def test_a_bound_is_not_lowered_to_a_guess() -> None:
    assert guess(hard(), Text(50, 90)) is None


def test_streams_that_tell_teach_what_those_took_that_do_not() -> None:
    """As of a model that thinks where nobody sees it."""
    costs = Costs({})
    for _ in range(50):
        costs.used(M, T, Cost(0, 0, firm=False), Used(10, 900), text_bytes=300)
    assert guess(costs, Text(100, 400)) == Used(40, 1_200)


def test_guessed_answers_teach_what_a_tenant_needs() -> None:
    costs = Costs({})
    for _ in range(200):
        guess(costs, Text(300, 900))
    assert 250 <= estimate(costs, b"{}").output <= 400


USAGE = b'{"prompt_tokens":7,"completion_tokens":9,"total_tokens":16}'


@pytest.mark.parametrize(
    ("end", "used"),
    [
        (CallEnd(status=200, body=b'{"choices":[],"usage":%b}' % USAGE), Used(7, 9)),
        (CallEnd(status=200, body=b"data: [DONE]\n\n", usage=USAGE), Used(7, 9)),
        (CallEnd(status=200, body=b'{"usage":{"prompt_tokens":7}}'), Used(7, 0)),
        (CallEnd(status=200, body=b'{"usage":null}'), None),
        (CallEnd(status=200, body=b'{"usage":{}}'), None),
        (
            CallEnd(
                status=200, usage=b'{"prompt_tokens":7,"completion_tokens":0}', text=Text(3, 9)
            ),
            None,
        ),
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
