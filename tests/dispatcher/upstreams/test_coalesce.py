"""When events go out."""

from headrace.dispatcher.upstreams.coalesce import ChunkPolicy, Chunks, Pulse
from headrace.schemas.replies import PART_BYTES
from support.eventually import eventually

NEVER_S = 3600.0


def chunks(linger_s: float, enough: int = 100) -> tuple[Chunks, list[bytes], Pulse]:
    """Chunks that go into the list."""
    out: list[bytes] = []
    pulse = Pulse(ChunkPolicy(linger_s, enough))
    return Chunks(out.append, pulse), out, pulse


async def test_the_first_event_goes_out_at_once() -> None:
    stream, out, pulse = chunks(NEVER_S)
    stream.add(b"one")
    assert out == [b"one"]
    pulse.close()


async def test_events_soon_after_another_wait_for_company() -> None:
    stream, out, pulse = chunks(NEVER_S)
    for event in (b"one", b"two", b"three"):
        stream.add(event)
    assert out == [b"one"]
    assert stream.take() == b"twothree"
    pulse.close()


async def test_enough_bytes_go_out_at_once() -> None:
    stream, out, pulse = chunks(NEVER_S, enough=6)
    for event in (b"one", b"two", b"three"):
        stream.add(event)
    assert out == [b"one", b"twothree"]
    pulse.close()


async def test_the_linger_ends_the_wait_of_all_streams() -> None:
    out: list[bytes] = []
    pulse = Pulse(ChunkPolicy(0.01, 100))
    streams = [Chunks(out.append, pulse) for _ in range(3)]
    for stream in streams:
        stream.add(b"first")
        stream.add(b"second")
    await eventually(lambda: len(out) == 6)
    assert out == [b"first"] * 3 + [b"second"] * 3


async def test_no_linger_means_no_wait() -> None:
    stream, out, _ = chunks(0.0)
    stream.add(b"one")
    stream.add(b"two")
    assert out == [b"one", b"two"]


async def test_nothing_goes_out_after_the_rest_was_taken() -> None:
    stream, out, pulse = chunks(0.001)
    stream.add(b"one")
    stream.add(b"two")
    stream.take()
    other = Chunks(out.append, pulse)
    other.add(b"three")
    other.add(b"four")
    await eventually(lambda: b"four" in out)
    assert out == [b"one", b"three", b"four"]


async def test_a_chunk_fits_a_record() -> None:
    stream, out, pulse = chunks(NEVER_S, enough=10 * PART_BYTES)
    for _ in range(5):
        stream.add(b"x" * (PART_BYTES // 2 + 1))
    stream.flush()
    assert max(map(len, out)) <= PART_BYTES
    assert sum(map(len, out)) == 5 * (PART_BYTES // 2 + 1)
    pulse.close()
