from headrace.ingress.board import FAR_BEHIND, GAP_S, SLOW_S
from headrace.ingress.refusal import Refusal
from headrace.ingress.waiter import Waiter
from headrace.schemas.errors import Code
from headrace.schemas.names import RequestId
from support.board import KEEPALIVE_S, chunk, failed, final, waiting

SHUTTING_DOWN = Refusal(Code.SHUTTING_DOWN, "over")


def test_a_plain_request_gets_its_first_final_and_no_other() -> None:
    board, waiter, party = waiting()
    board.deliver(final(body=b"one", attempt=2), 1)
    board.deliver(final(body=b"two"), 1)
    assert waiter.final is not None
    assert (waiter.final.body, party.wakes, board.dropped) == (b"one", 1, 1)


def test_a_reply_nobody_waits_for_is_dropped_and_counted() -> None:
    board, waiter, _ = waiting(name="other")
    board.deliver(final(), 1)
    assert (waiter.settled, board.dropped) == (False, 1)


def test_a_long_final_is_joined_from_its_parts() -> None:
    board, waiter, _ = waiting()
    for i, body in enumerate((b"a", b"b", b"c"), 1):
        assert waiter.final is None
        board.deliver(final(body=body, part=(i, 3)), 1)
    assert waiter.final is not None
    assert waiter.final.body == b"abc"
    assert board.held_bytes == 3


def test_parts_of_two_attempts_are_never_mixed() -> None:
    board, waiter, _ = waiting()
    board.deliver(final(body=b"a1", part=(1, 2)), 1)
    board.deliver(final(body=b"b1", attempt=2, part=(1, 2)), 1)
    board.deliver(final(body=b"b2", attempt=2, part=(2, 2)), 1)
    assert waiter.final is not None
    assert waiter.final.body == b"b1b2"
    assert board.held_bytes == 4


def test_a_missing_part_is_an_error_and_no_shorter_answer() -> None:
    board, waiter, _ = waiting()
    board.deliver(final(part=(1, 3)), 1)
    board.deliver(final(part=(3, 3)), 1)
    assert failed(waiter) is Code.REPLY_LOST


def test_a_final_that_overtakes_chunks_waits_for_them() -> None:
    board, waiter, _ = waiting(stream=True)
    board.deliver(final(3), 1)
    board.deliver(chunk(2, b"2"), 1)
    assert board.take(waiter) == b""
    board.deliver(chunk(1, b"1"), 1)
    assert waiter.final is not None
    assert board.take(waiter) == b"12"


def test_a_gap_is_waited_for_and_then_an_error() -> None:
    board, waiter, _ = waiting(stream=True)
    board.deliver(chunk(2), 1)
    board.sweep(1 + GAP_S - 0.1)
    assert not waiter.settled
    board.sweep(1 + GAP_S)
    assert failed(waiter) is Code.REPLY_LOST


def test_a_filled_gap_is_forgotten() -> None:
    board, waiter, _ = waiting(stream=True)
    board.deliver(chunk(2), 1)
    board.deliver(chunk(1), 2)
    board.sweep(1 + GAP_S)
    assert not waiter.settled


def test_until_its_first_byte_a_stream_follows_the_newest_attempt() -> None:
    board, waiter, _ = waiting(stream=True)
    board.deliver(chunk(2, b"old", attempt=1), 1)
    board.deliver(chunk(1, b"new", attempt=2), 1)
    board.deliver(chunk(1, b"old", attempt=1), 1)
    assert board.take(waiter) == b"new"
    assert board.dropped == 2


def test_a_final_of_a_newer_attempt_breaks_a_stream_that_has_begun() -> None:
    board, waiter, _ = waiting(stream=True)
    board.deliver(chunk(1, attempt=1), 1)
    board.deliver(chunk(1, attempt=2), 1)
    assert not waiter.settled
    board.deliver(final(2, attempt=2), 1)
    assert failed(waiter) is Code.UPSTREAM_STREAM_BROKEN


def test_a_repeated_attempt_number_of_another_process_is_never_mixed_in() -> None:
    board, waiter, _ = waiting(stream=True)
    died, successor = chunk(1, b"a"), [chunk(1, b"x"), chunk(2, b"y"), final(3)]
    died.source = b"d-1"
    board.deliver(died, 0.0)
    for reply in successor:
        reply.source = b"d-2"
        board.deliver(reply, 0.1)
    assert list(waiter.ready or ()) == [b"a"]
    assert failed(waiter) is Code.UPSTREAM_STREAM_BROKEN


def test_a_final_of_an_older_attempt_ends_nothing() -> None:
    board, waiter, _ = waiting(stream=True)
    board.deliver(chunk(1, attempt=2), 1)
    board.deliver(final(attempt=1), 1)
    assert not waiter.settled


def test_a_client_that_does_not_read_its_stream_is_cut() -> None:
    board, waiter, party = waiting(stream=True)
    board.deliver(chunk(1, b"x" * 101), 1)
    board.sweep(1 + SLOW_S - 0.1)
    assert (failed(waiter), party.cuts) == (None, 0)
    board.sweep(1 + SLOW_S)
    assert (failed(waiter), party.cuts) == (Code.CLIENT_TOO_SLOW, 1)


def test_a_client_that_takes_what_came_too_fast_is_not_cut() -> None:
    board, waiter, party = waiting(stream=True)
    board.deliver(chunk(1, b"x" * 101), 1)
    board.take(waiter)
    board.sweep(1 + SLOW_S)
    assert (failed(waiter), party.cuts) == (None, 0)


def test_a_client_that_is_far_behind_is_cut_at_once() -> None:
    board, waiter, party = waiting(stream=True)
    board.deliver(chunk(1, b"x" * (FAR_BEHIND * 100 + 1)), 1)
    assert (failed(waiter), party.cuts) == (Code.CLIENT_TOO_SLOW, 1)


def test_bytes_of_all_answers_together_are_bounded() -> None:
    board, waiter, _ = waiting()
    board.deliver(final(body=b"x" * 1001), 1)
    assert failed(waiter) is Code.REPLY_LOST
    assert board.held_bytes == 0


def test_a_board_is_full_of_waiters_or_of_bytes() -> None:
    board, first, party = waiting()
    assert not board.full
    for name in ("s", "t"):
        board.expect(Waiter(RequestId(name), False, party, 0, 60, 100))
    assert board.full
    board.drop(first)
    assert not board.full


def test_dropping_a_waiter_frees_what_was_held_for_it() -> None:
    board, waiter, _ = waiting(stream=True)
    board.deliver(chunk(1, b"abc"), 1)
    board.deliver(chunk(3, b"def"), 1)
    assert board.held_bytes == 6
    board.drop(waiter)
    assert (board.held_bytes, len(board)) == (0, 0)


def test_a_plain_request_waits_so_long_and_no_longer() -> None:
    board, waiter, _ = waiting()
    board.sweep(59.9)
    assert not waiter.settled
    board.sweep(60)
    assert failed(waiter) is Code.WAIT_TOO_LONG


def test_a_stream_that_has_begun_may_last_until_its_deadline() -> None:
    board, waiter, _ = waiting(stream=True)
    board.deliver(chunk(1), 1)
    board.sweep(99)
    assert not waiter.settled
    board.sweep(100)
    assert failed(waiter) is Code.DEADLINE_EXCEEDED


def test_a_client_that_takes_neither_answer_nor_error_is_cut() -> None:
    board, _, party = waiting()
    board.deliver(final(), 1)
    board.sweep(99)
    assert party.cuts == 0
    board.sweep(100)
    assert party.cuts == 1


def test_a_quiet_stream_is_ticked() -> None:
    board, waiter, party = waiting(stream=True)
    board.sweep(KEEPALIVE_S - 1)
    assert not waiter.tick
    board.sweep(KEEPALIVE_S)
    assert (waiter.tick, party.wakes) == (True, 1)
    waiter.tick, waiter.touched_at = False, KEEPALIVE_S
    board.sweep(2 * KEEPALIVE_S - 1)
    assert not waiter.tick


def test_an_end_for_all_spares_who_has_an_answer() -> None:
    board, waiter, party = waiting()
    other = Waiter(RequestId("s"), False, party, 0, 60, 100)
    board.expect(other)
    board.deliver(final(), 1)
    board.fail_all(SHUTTING_DOWN)
    assert (failed(waiter), failed(other)) == (None, Code.SHUTTING_DOWN)


def test_a_whole_final_gives_a_stream_only_what_follows_its_chunks() -> None:
    board, waiter, _ = waiting(stream=True)
    board.deliver(chunk(1, b"one "), 1)
    whole = final(2, b"one two")
    whole.whole = True
    board.deliver(whole, 1)
    assert waiter.final is not None
    assert board.take(waiter) + waiter.final.body == b"one two"
