"""The fault proxy does what it says: tests of other things rest on it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import pytest

from testbed.fault_proxy import Direction, FaultProxy, Faults, flip_bit

Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]
DELAY_S = 0.05


@contextlib.asynccontextmanager
async def echoing() -> AsyncIterator[FaultProxy]:
    """A proxy before a server that sends back what it gets, and ends when its client does."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, FaultProxy("127.0.0.1", server.sockets[0].getsockname()[1]) as proxy:
        yield proxy


def run(scenario: Callable[[FaultProxy, Streams], Awaitable[None]]) -> None:
    """Run ``scenario`` with a proxy and a connection through it."""

    async def main() -> None:
        async with echoing() as proxy:
            streams = await asyncio.open_connection(proxy.host, proxy.port)
            try:
                await scenario(proxy, streams)
            finally:
                streams[1].close()

    asyncio.run(main())


async def echoed(streams: Streams, data: bytes) -> bytes:
    streams[1].write(data)
    return await streams[0].readexactly(len(data))


async def timed(work: Awaitable[object]) -> float:
    loop = asyncio.get_running_loop()
    started = loop.time()
    await work
    return loop.time() - started


def test_without_faults_bytes_pass_as_they_are_and_are_counted() -> None:
    async def scenario(proxy: FaultProxy, streams: Streams) -> None:
        data = bytes(range(256)) * 8192
        streams[1].write(data)
        streams[1].write_eof()  # an end is passed on too, and its answer back
        assert await streams[0].read(-1) == data
        assert proxy.passed == dict.fromkeys(Direction, len(data))
        assert proxy.connections == 1

    run(scenario)


def test_delay_is_of_one_direction_and_keeps_the_order() -> None:
    async def scenario(proxy: FaultProxy, streams: Streams) -> None:
        await proxy.set(Faults(delay_s=DELAY_S, jitter_s=DELAY_S), Direction.TO_TARGET)
        assert await timed(echoed(streams, b"x")) >= DELAY_S
        await proxy.set(Faults(delay_s=DELAY_S))
        assert await timed(echoed(streams, b"x")) >= 2 * DELAY_S
        pieces = [b"%04d" % number for number in range(100)]
        for piece in pieces:
            streams[1].write(piece)
            await asyncio.sleep(0)
        assert await streams[0].readexactly(400) == b"".join(pieces)

    run(scenario)


def test_a_segment_that_is_lost_twice_comes_late() -> None:
    async def scenario(proxy: FaultProxy, streams: Streams) -> None:
        rolls = iter([1.0, 0.0, 0.0])  # jitter, lost, lost again
        proxy.random.random = lambda: next(rolls, 1.0)  # type: ignore[method-assign]
        await proxy.set(Faults(loss=0.5, retransmission_s=DELAY_S), Direction.TO_TARGET)
        assert await timed(echoed(streams, b"lost twice")) >= 3 * DELAY_S
        assert await echoed(streams, b"later") == b"later"

    run(scenario)


def test_bandwidth_is_kept_and_pushes_back_on_the_sender() -> None:
    async def scenario(proxy: FaultProxy, streams: Streams) -> None:
        await proxy.set(Faults(bytes_per_s=4e6), Direction.TO_TARGET)
        data = bytes(1_000_000)
        reading = asyncio.create_task(streams[0].readexactly(len(data)))
        started = asyncio.get_running_loop().time()
        streams[1].write(data)
        await reading
        assert asyncio.get_running_loop().time() - started >= 0.2

    run(scenario)


def test_a_black_hole_of_one_direction_is_silent_and_loses_nothing() -> None:
    async def scenario(proxy: FaultProxy, streams: Streams) -> None:
        assert await echoed(streams, b"before") == b"before"
        await proxy.set(Faults(black_hole=True), Direction.TO_CLIENT)
        streams[1].write(b"during")
        while proxy.passed[Direction.TO_TARGET] < 12:
            await asyncio.sleep(0.001)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(streams[0].read(1), DELAY_S)
        await proxy.set(Faults())
        assert await streams[0].readexactly(6) == b"during"

    run(scenario)


def test_a_black_hole_hides_ends_and_new_connections() -> None:
    async def scenario(proxy: FaultProxy, streams: Streams) -> None:
        await echoed(streams, b"before")
        await proxy.set(Faults(black_hole=True))
        streams[1].transport.abort()
        late = await asyncio.open_connection(proxy.host, proxy.port)  # as far as the next router
        late[1].write(b"late")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(late[0].read(1), DELAY_S)
        assert proxy.open_connections == 1
        await proxy.set(Faults())
        assert await late[0].readexactly(4) == b"late"
        late[1].close()
        while proxy.open_connections:
            await asyncio.sleep(0.001)

    run(scenario)


def test_reset_cut_and_restore() -> None:
    async def scenario(proxy: FaultProxy, streams: Streams) -> None:
        await echoed(streams, b"before")
        await proxy.reset()
        with pytest.raises(ConnectionResetError):
            await streams[0].readexactly(1)
        second = await asyncio.open_connection(proxy.host, proxy.port)
        await echoed(second, b"again")
        port = proxy.port
        await proxy.cut()
        assert await second[0].read(1) == b""
        second[1].close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(proxy.host, port)
        await proxy.restore()
        third = await asyncio.open_connection(proxy.host, port)
        assert await echoed(third, b"back") == b"back"
        third[1].close()

    run(scenario)


def test_nobody_behind_the_proxy_is_told_by_a_reset() -> None:
    async def main() -> None:
        async with FaultProxy("127.0.0.1", 1) as proxy:
            reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
            with pytest.raises(ConnectionResetError):
                await reader.readexactly(1)
            writer.close()

    asyncio.run(main())


def test_one_bit_is_flipped_where_it_was_asked_for() -> None:
    async def scenario(proxy: FaultProxy, streams: Streams) -> None:
        proxy.tamper = flip_bit(Direction.TO_TARGET, 5, bit=7)
        assert await echoed(streams, bytes(4)) == bytes(4)
        assert await echoed(streams, bytes(4)) == b"\0\x80\0\0"
        assert await echoed(streams, bytes(4)) == bytes(4)

    run(scenario)


def test_bits_are_flipped_at_a_rate() -> None:
    async def scenario(proxy: FaultProxy, streams: Streams) -> None:
        await proxy.set(Faults(flips_per_mib=1000), Direction.TO_CLIENT)
        came = await echoed(streams, bytes(1 << 19))
        flipped = sum(byte.bit_count() for byte in came)
        assert 350 < flipped < 650

    run(scenario)
