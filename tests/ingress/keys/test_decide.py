from headrace.ingress.index.known import KnownClaim
from headrace.ingress.keys.decide import (
    SILENT_MS,
    SPREAD_MS,
    Append,
    Attach,
    Mismatch,
    Win,
    after_claim,
    on_arrival,
    silent_in_ms,
)
from headrace.ingress.keys.digest import request_digest
from headrace.schemas.names import Endpoint, InstanceId, LaneName, ModelName

FIRST = KnownClaim(
    "digest", LaneName("standard"), ModelName("m"), InstanceId("one"), 90_000, partition=3, offset=17,
    claimed_ms=1_000,
)  # fmt: skip


def test_an_unknown_key_is_claimed() -> None:
    assert on_arrival(None, "digest") == Append()


def test_a_known_key_attaches_to_its_first_request() -> None:
    assert on_arrival(FIRST, "digest") == Attach(FIRST.id, 1_000)


def test_a_known_key_with_another_body_is_a_mismatch() -> None:
    assert on_arrival(FIRST, "another") == Mismatch()


def test_the_first_claim_in_the_log_wins() -> None:
    assert after_claim(FIRST, "digest", partition=3, offset=17) == Win(FIRST.id)


def test_a_later_claim_attaches_to_the_first() -> None:
    assert after_claim(FIRST, "digest", partition=3, offset=18) == Attach(FIRST.id, 1_000)


def test_a_claim_that_lost_to_another_body_is_a_mismatch() -> None:
    assert after_claim(FIRST, "another", partition=3, offset=18) == Mismatch()


def test_a_winner_without_a_row_is_silent_five_seconds_after_its_claim() -> None:
    assert silent_in_ms(1_000, 1_000, 0.0) == SILENT_MS
    assert silent_in_ms(1_000, 1_000 + SILENT_MS - 1, 0.0) == 1
    assert silent_in_ms(1_000, 1_000 + SILENT_MS, 0.0) == 0


def test_those_who_attached_do_not_all_speak_at_once() -> None:
    assert silent_in_ms(1_000, 1_000, 0.5) == SILENT_MS + SPREAD_MS // 2


def test_the_same_body_at_another_endpoint_is_another_request() -> None:
    chat = request_digest(Endpoint.CHAT, b"{}")
    assert chat == request_digest(Endpoint.CHAT, b"{}")
    assert (
        len({chat, request_digest(Endpoint.COMPLETIONS, b"{}"), request_digest(Endpoint.CHAT, b"")})
        == 3
    )
