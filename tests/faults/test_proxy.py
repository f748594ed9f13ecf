"""The rig's own proxy does what it is told, byte for byte."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from faults.rig.proxy import BLACK_HOLE, Proxy, Way
from support.clock import Clock, is_close
from support.eventually import eventually

SENT = bytes(range(256)) * 1_000


@asynccontextmanager
async def echo() -> AsyncIterator[int]:
    """A server that returns what it reads; its port."""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while piece := await reader.read(65_536):
                writer.write(piece)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(play, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    async with echo() as port, Proxy(port) as one:
        yield one


class Peer:
    """A client of the proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def silent(self) -> bool:
        """Whether nothing comes for a while, not even an end."""
        try:
            async with asyncio.timeout(0.15):
                await self.reader.read(1)
        except TimeoutError:
            return True
        return False


@asynccontextmanager
async def peer(proxy: Proxy) -> AsyncIterator[Peer]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield Peer(reader, writer)
    finally:
        writer.close()


async def test_what_is_sent_comes_back_byte_for_byte_and_ends(proxy: Proxy) -> None:
    async with peer(proxy) as one:
        sending = asyncio.create_task(one.send(SENT))
        assert await one.reader.readexactly(len(SENT)) == SENT
        await sending
        one.writer.write_eof()
        assert await one.reader.read() == b""
    await eventually(lambda: proxy.open_connections == 0)


async def test_latency_delays_bytes_without_slowing_their_flow(clock: Clock, proxy: Proxy) -> None:
    proxy.treat(down=Way(latency_s=300.0))
    async with peer(proxy) as one:
        all_five = asyncio.create_task(one.reader.readexactly(50))
        for _ in range(5):
            await one.send(b"x" * 10)
            await asyncio.sleep(0.02)  # so that they are five pieces
        assert is_close(await clock.until(all_five), 300.0)


async def test_bandwidth_is_bounded(clock: Clock, proxy: Proxy) -> None:
    proxy.treat(down=Way(bytes_per_s=10, slice_bytes=500))
    async with peer(proxy) as one:
        await one.send(b"x" * 3_000)
        whole = asyncio.create_task(one.reader.readexactly(3_000))
        assert is_close(await clock.until(whole), 250.0)  # the last slice comes before its time


async def test_slices_are_small_and_whole_together(clock: Clock, proxy: Proxy) -> None:
    proxy.treat(down=Way(slice_bytes=7, bytes_per_s=0.01))
    async with peer(proxy) as one:
        await one.send(SENT[:100])
        assert await one.reader.read(100) == SENT[:7]
        proxy.treat()
        rest = asyncio.create_task(one.reader.readexactly(93))
        await clock.until(rest)
        assert rest.result() == SENT[7:100]


async def test_what_a_black_hole_held_arrives_when_it_is_over(proxy: Proxy) -> None:
    async with peer(proxy) as one:
        proxy.treat(up=BLACK_HOLE)
        await one.send(b"held")
        assert await one.silent()
        proxy.treat()
        assert await one.reader.readexactly(4) == b"held"


async def test_a_stranded_connection_stays_silent_and_a_new_one_works(proxy: Proxy) -> None:
    async with peer(proxy) as old:
        await old.send(b"a")
        assert await old.reader.readexactly(1) == b"a"
        proxy.strand()
        await old.send(b"b")
        assert await old.silent()
        async with peer(proxy) as fresh:
            await fresh.send(b"c")
            assert await fresh.reader.readexactly(1) == b"c"


async def test_a_reset_breaks_open_connections(proxy: Proxy) -> None:
    async with peer(proxy) as one:
        await one.send(b"a")
        await one.reader.readexactly(1)
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            await one.reader.read(1)


async def test_a_connection_is_cut_after_so_many_bytes(proxy: Proxy) -> None:
    proxy.treat(down=Way(reset_after=1_000))
    async with peer(proxy) as one:
        await one.send(SENT[:5_000])
        with pytest.raises(ConnectionResetError):
            await one.reader.readexactly(5_000)


async def test_an_end_without_the_rest_looks_proper(proxy: Proxy) -> None:
    proxy.treat(down=Way(fin_after=1_000))
    async with peer(proxy) as one:
        await one.send(SENT[:5_000])
        assert await one.reader.read() == SENT[:1_000]


async def test_a_refusing_proxy_resets_new_connections(proxy: Proxy) -> None:
    proxy.refuse()
    async with peer(proxy) as one:
        with pytest.raises(ConnectionResetError):
            await one.reader.read(1)
    proxy.refuse(False)
    async with peer(proxy) as one:
        await one.send(b"a")
        assert await one.reader.readexactly(1) == b"a"


async def test_without_a_server_a_client_sees_a_broken_connection() -> None:
    async with echo() as port:
        pass
    async with Proxy(port) as one, peer(one) as client:
        with pytest.raises(ConnectionResetError):
            await client.reader.read(1)
