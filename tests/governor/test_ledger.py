"""The ledger never lets a window exceed its limit, and gives back what it may."""

from headrace.dispatcher.governor.ledger import Ledger
from headrace.dispatcher.governor.tree import Caps, Dimension, Scope, Tree
from headrace.schemas.limits import FlowGrant, Refund, Units
from support.limits import ONE, TIMING, flow, told, tree

WINDOW_MS = 10_000
WIDTH_MS = TIMING.width_ms(WINDOW_MS)
F, G = flow("t"), flow("u")


def ledger(window_ms: int = WINDOW_MS, **caps: int) -> Ledger:
    return Ledger(tree(window_ms, **caps), TIMING)


def charged(books: Ledger, dimension: Dimension = Dimension.REQUESTS, scope: int = 0) -> int:
    return books.nodes[scope].charged()[dimension]


def fits(books: Ledger, units: tuple[int, int, int] = (1, 0, 0)) -> bool:
    return books.refusing(F, Units(*units)) is None


def test_the_window_is_wider_than_the_limits_by_guard_and_drift() -> None:
    assert WIDTH_MS == WINDOW_MS + 500 + 2


def test_an_outstanding_grant_is_charged() -> None:
    books = ledger(requests=2)
    books.grant(ONE, F, Units(2))
    assert not fits(books)


def test_a_spend_is_charged_until_its_stamp_has_left_the_window() -> None:
    books = ledger(requests=1)
    books.grant(ONE, F, Units(1))
    books.hear(ONE, told(F, (1, 0, 0)), 100)
    books.advance(100 + WIDTH_MS - 1)
    assert not fits(books)
    books.advance(100 + WIDTH_MS)
    assert fits(books)


def test_what_is_renounced_is_free_at_once() -> None:
    books = ledger(requests=1)
    books.grant(ONE, F, Units(1))
    books.hear(ONE, told(F, renounced=(1, 0, 0)), 100)
    assert fits(books)


def test_a_request_must_fit_every_scope_it_lies_in() -> None:
    pool = Scope("pool", Caps(requests=3), WINDOW_MS)
    share = Scope("share", Caps(requests=1), WINDOW_MS, tenants=frozenset({"t"}))
    books = Ledger(Tree((pool, share)), TIMING)
    books.grant(ONE, F, Units(1))
    assert books.refusing(F, Units(1)) is books.nodes[1]
    assert books.refusing(G, Units(2)) is None
    assert books.refusing(G, Units(3)) is books.nodes[0]


def test_total_tokens_are_input_and_output() -> None:
    books = ledger(total_tokens=10)
    books.grant(ONE, F, Units(1, 4, 3))
    assert fits(books, (1, 2, 1))
    assert not fits(books, (1, 2, 2))


def test_repeated_and_late_reports_change_nothing() -> None:
    books = ledger(requests=5)
    books.grant(ONE, F, Units(4))
    for spent, stamp in ((1, 100), (3, 200), (1, 300), (3, 400)):
        books.hear(ONE, told(F, (spent, 0, 0)), stamp)
    assert charged(books) == 4
    books.advance(200 + WIDTH_MS)
    assert charged(books) == 1


def test_what_an_expired_session_had_is_charged_from_its_expiry() -> None:
    books = ledger(requests=3)
    books.grant(ONE, F, Units(3))
    books.hear(ONE, told(F, (1, 0, 0)), 0)
    assert books.expire(ONE, 5_000) == [(F, Units(2))]
    books.advance(WIDTH_MS)
    assert charged(books) == 2
    books.advance(5_000 + WIDTH_MS)
    assert charged(books) == 0


def test_a_spend_told_after_the_expiry_is_not_charged_twice() -> None:
    books = ledger(requests=3)
    books.grant(ONE, F, Units(3))
    books.expire(ONE, 1_000)
    books.hear(ONE, told(F, (2, 0, 0)), 2_000)
    assert charged(books) == 3


def test_seats_are_free_when_the_call_has_ended() -> None:
    books = ledger(seats=1)
    books.grant(ONE, F, Units(1))
    books.hear(ONE, told(F, (1, 0, 0)), 0)
    books.advance(10 * WIDTH_MS)
    assert not fits(books)
    books.hear(ONE, told(F, (1, 0, 0), ended=1), 1)
    assert fits(books)


def test_seats_of_an_expired_session_are_free() -> None:
    books = ledger(seats=2)
    books.grant(ONE, F, Units(2))
    books.hear(ONE, told(F, (1, 0, 0)), 0)
    books.expire(ONE, 1)
    assert charged(books, Dimension.SEATS) == 0


def test_a_refund_lowers_the_spend_that_it_belongs_to() -> None:
    books = ledger(total_tokens=100)
    books.grant(ONE, F, Units(2, 0, 100))
    books.hear(ONE, told(F, (1, 0, 50)), 0)
    books.hear(ONE, told(F, (2, 0, 100)), 5_000)
    for _ in range(2):
        books.hear(ONE, told(F, (2, 0, 100), refunds=[Refund(1, 0, 30)]), 5_100)
    assert charged(books, Dimension.TOTAL_TOKENS) == 70
    books.advance(WIDTH_MS)
    assert charged(books, Dimension.TOTAL_TOKENS) == 50


def test_a_refund_for_a_spend_that_has_left_the_window_comes_too_late() -> None:
    books = ledger(total_tokens=100)
    books.grant(ONE, F, Units(2, 0, 100))
    books.hear(ONE, told(F, (1, 0, 50)), 0)
    books.hear(ONE, told(F, (2, 0, 100)), 5_000)
    books.advance(WIDTH_MS)
    books.hear(ONE, told(F, (2, 0, 100), refunds=[Refund(1, 0, 30)]), WIDTH_MS)
    assert charged(books, Dimension.TOTAL_TOKENS) == 50


def test_more_used_than_granted_is_charged_once() -> None:
    books = ledger(total_tokens=100)
    books.grant(ONE, F, Units(1, 0, 10))
    books.hear(ONE, told(F, (1, 0, 40)), 0)
    assert charged(books, Dimension.TOTAL_TOKENS) == 40
    books.grant(ONE, F, Units(1, 0, 5))
    assert charged(books, Dimension.TOTAL_TOKENS) == 45


def test_an_account_of_which_no_grant_is_known_begins_where_it_stands() -> None:
    books = ledger(requests=5)
    books.hear(ONE, told(F, (70, 0, 0), (3, 0, 0)), 0)
    assert charged(books) == 0
    books.hear(ONE, told(F, (72, 0, 0), (3, 0, 0)), 10)
    assert charged(books) == 2


def test_a_restated_grant_is_in_force() -> None:
    books = ledger(requests=5)
    books.restate(ONE, FlowGrant(F, Units(9), Units(4), Units(2)), 0)
    assert charged(books) == 3
    books.restate(ONE, FlowGrant(F, Units(9), Units(6), Units(2)), 10)
    assert charged(books) == 3


def test_time_that_goes_back_changes_nothing() -> None:
    books = ledger(requests=1)
    books.grant(ONE, F, Units(1))
    books.hear(ONE, told(F, (1, 0, 0)), 1_000)
    books.advance(1_000 + WIDTH_MS)
    books.advance(500)
    assert fits(books)


def test_after_a_wiped_log_nothing_fits_until_it_cannot_count_any_more() -> None:
    books = ledger(requests=1)
    books.shut(1_000)
    books.advance(999)
    assert not fits(books)
    books.advance(1_000)
    assert fits(books)


def test_a_changed_limit_keeps_what_is_charged() -> None:
    books = ledger(requests=9)
    books.grant(ONE, F, Units(3))
    books.hear(ONE, told(F, (2, 0, 0)), 0)
    books.replant(tree(WINDOW_MS, requests=4, seats=9))
    assert charged(books) == 3
    assert charged(books, Dimension.SEATS) == 3
    books.advance(WIDTH_MS)
    assert charged(books) == 1


def test_a_longer_window_opens_when_its_past_is_known() -> None:
    books = ledger(requests=9)
    books.replant(tree(90_000, requests=9))
    assert not fits(books)
    books.advance(31_000)
    assert fits(books)
