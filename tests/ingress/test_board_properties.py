"""The reply board against whatever may come."""

from hypothesis import given
from hypothesis import strategies as st

from headrace.ingress.board import BoardPolicy
from headrace.schemas.names import RequestId
from headrace.schemas.replies import Reply
from support.board import KEEPALIVE_S, POLICY, chunk, final, waiting

LARGE = BoardPolicy(
    max_waiters=3, max_bytes=10**9, max_stream_backlog_bytes=10**9, keepalive_s=KEEPALIVE_S
)


@st.composite
def jumbled_streams(draw: st.DrawFn) -> tuple[list[bytes], list[Reply]]:
    """The chunks of one attempt, and its records repeated and out of order, mixed with an older one's."""
    bodies = draw(st.lists(st.binary(min_size=1, max_size=4), max_size=12))
    records = [chunk(i, body, attempt=2) for i, body in enumerate(bodies, 1)]
    records.append(final(len(bodies) + 1, b"!", attempt=2))
    repeats = draw(st.lists(st.sampled_from(records), max_size=6))
    strays = draw(st.lists(st.builds(chunk, st.integers(1, 9), attempt=st.just(1)), max_size=6))
    order = draw(st.permutations([*records, *repeats]))
    return bodies, [order[0], *draw(st.permutations([*order[1:], *strays]))]


@given(jumbled_streams())
def test_a_stream_comes_out_once_and_in_order_however_it_comes_in(
    case: tuple[list[bytes], list[Reply]],
) -> None:
    bodies, records = case
    board, waiter, _ = waiting(stream=True, policy=LARGE)
    taken = b""
    for record in records:
        board.deliver(
            Reply(
                id=record.id,
                body=record.body,
                seq=record.seq,
                attempt=record.attempt,
                final=record.final,
            ),
            1,
        )
        taken += board.take(waiter)
    assert taken == b"".join(bodies)
    assert waiter.final is not None
    assert waiter.final.body == b"!"
    assert board.held_bytes == 1


RECORDS = st.lists(
    st.builds(
        Reply, id=st.just(RequestId("r")), body=st.binary(max_size=30), seq=st.integers(1, 5),
        attempt=st.integers(1, 3), final=st.booleans(), part=st.sampled_from([(1, 1), (1, 2), (2, 2)]),
    ),
    max_size=30,
)  # fmt: skip


@given(RECORDS, st.booleans())
def test_whatever_comes_the_bytes_held_are_counted_and_bounded(
    records: list[Reply], stream: bool
) -> None:
    board, waiter, _ = waiting(stream=stream)
    for now, record in enumerate(records):
        board.deliver(record, now)
        assert 0 <= board.held_bytes <= POLICY.max_bytes
        assert board.held_bytes == waiter.held
    board.take(waiter)
    board.drop(waiter)
    assert board.held_bytes == 0


@given(RECORDS)
def test_what_a_stream_gives_out_is_a_prefix_of_one_attempt(records: list[Reply]) -> None:
    board, waiter, _ = waiting(stream=True, policy=LARGE)
    first: dict[tuple[int, int], bytes] = {}
    taken = b""
    for record in records:
        if not record.final:
            first.setdefault((record.attempt, record.seq), record.body)
        board.deliver(record, 1)
        taken += board.take(waiter)
    prefixes = {
        b"".join(first[attempt, seq] for seq in range(1, length + 1))
        for attempt in (1, 2, 3)
        for length in range(6)
        if all((attempt, seq) in first for seq in range(1, length + 1))
    }
    assert taken in prefixes
