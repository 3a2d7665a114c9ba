"""What strangers can't make a node keep."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.node.echoing import served, told
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from buildnet.mesh.link.connection import FRAGMENTS, MALFORMED, OVERSIZED
from buildnet.node.websocket_guard import ENDED_HERE


def run(scenario: Callable[[ClientConnection], Awaitable[None]]) -> None:
    async def main() -> None:
        async with served() as url, connect(url, compression=None, proxy=None) as websocket:
            await scenario(websocket)

    asyncio.run(main())


def test_messages_in_a_few_fragments_are_taken_and_in_many_are_not() -> None:
    async def scenario(websocket: ClientConnection) -> None:
        await websocket.send([b"a", b"b", b"c"])
        assert await websocket.recv() == b"abc"
        websocket.transport.write(
            Frame(Opcode.BINARY, b"", fin=False).serialize(mask=True)
            + Frame(Opcode.CONT, b"", fin=False).serialize(mask=True) * 1000
        )
        with pytest.raises(ConnectionClosed):
            await websocket.recv()

    told.clear()
    run(scenario)
    assert told == [(ENDED_HERE, FRAGMENTS)]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (Frame(Opcode.BINARY, bytes(100_001)), OVERSIZED),
        (Frame(Opcode.CONT, b"of nothing"), MALFORMED),
    ],
)
def test_the_application_is_told_what_was_wrong(frame: Frame, reason: str) -> None:
    async def scenario(websocket: ClientConnection) -> None:
        websocket.transport.write(frame.serialize(mask=True))
        with pytest.raises(ConnectionClosed):
            await websocket.recv()

    told.clear()
    run(scenario)
    assert told == [(ENDED_HERE, reason)]


def test_the_other_side_can_t_say_that_this_one_ended_it() -> None:
    async def scenario(websocket: ClientConnection) -> None:
        said = ENDED_HERE.to_bytes(2, "big") + FRAGMENTS.encode()
        websocket.transport.write(Frame(Opcode.CLOSE, said).serialize(mask=True))
        with pytest.raises(ConnectionClosed):
            await websocket.recv()

    told.clear()
    run(scenario)
    assert told == [(ENDED_HERE, MALFORMED)]


def test_pings_are_answered_to_who_reads_the_answers() -> None:
    async def scenario(websocket: ClientConnection) -> None:
        await (await websocket.ping())
        websocket.transport.pause_reading()
        ping = Frame(Opcode.PING, bytes(125)).serialize(mask=True) * 1000
        for _ in range(400):  # more than what both ends' kernels keep
            websocket.transport.write(ping)
            await asyncio.sleep(0)
        assert websocket.transport.is_closing()  # by the reset that answers it

    run(scenario)
