"""Messages of events that come packed: long ones, to who takes that, and no bombs."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from tests.node.echoing import served, told
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, PayloadTooBig
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    PerMessageDeflate,
)
from websockets.frames import Frame, Opcode

from buildnet.mesh.link.connection import OVERSIZED
from buildnet.node.websocket_guard import ENDED_HERE, PACKED_PATH
from buildnet.node.websocket_packing import FROM_BYTES, UNPACKED_MAX_BYTES, Packing

LONG = '{"name": "node"}' * FROM_BYTES


def run(
    scenario: Callable[[ClientConnection], Awaitable[None]],
    path: str = PACKED_PATH,
    compression: str | None = "deflate",
) -> None:
    async def main() -> None:
        async with (
            served() as url,
            connect(url.removesuffix("/") + path, compression=compression, proxy=None) as websocket,
        ):
            await scenario(websocket)

    asyncio.run(main())


def counting(websocket: ClientConnection) -> list[int]:
    """Return the sizes of what comes over the network from now on."""
    sizes: list[int] = []
    take = websocket.protocol.receive_data

    def count(data: bytes | bytearray) -> None:
        sizes.append(len(data))
        take(data)

    websocket.protocol.receive_data = count  # type: ignore[method-assign]
    return sizes


def frame(text: str) -> Frame:
    return Frame(Opcode.TEXT, text.encode())


def agreed(packing: Packing) -> PerMessageDeflate:
    return packing.process_request_params([], [])[1]


def unpacked(sent: Frame) -> Frame:
    offered = ClientPerMessageDeflateFactory()
    answer = [("server_no_context_takeover", None), ("client_no_context_takeover", None)]
    return offered.process_response_params(answer, []).decode(sent)


def test_long_messages_are_packed_and_each_says_what_was_sent() -> None:
    packing = agreed(Packing())
    for text in (LONG, LONG.upper(), LONG):
        sent = packing.encode(frame(text))
        assert sent.rsv1
        assert len(sent.data) < len(text) / 20
        assert not bytes(sent.data).endswith(b"\x00\x00\xff\xff")
        assert unpacked(sent) == frame(text)


def test_short_messages_and_pieces_are_sent_as_they_are() -> None:
    packing = agreed(Packing())
    begun = replace(frame(LONG), fin=False)
    for sent in (frame("x" * (FROM_BYTES - 1)), begun, replace(frame(LONG), opcode=Opcode.CONT)):
        assert packing.encode(sent) is sent


def test_what_many_are_told_is_packed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    make = zlib.compressobj

    def counted(level: int, wbits: int) -> object:
        made.append(wbits)
        return make(level, wbits=wbits)

    monkeypatch.setattr("zlib.compressobj", counted)
    packing = Packing()
    readers = [agreed(packing) for _ in range(5)]
    text = LONG[: 2 * FROM_BYTES]
    assert len({bytes(each.encode(frame(text)).data) for each in readers}) == 1
    assert made == [-15]
    small = packing.process_request_params([("server_max_window_bits", "9")], [])[1]
    assert unpacked(small.encode(frame(text))) == frame(text)
    assert made == [-15, -9]


def test_events_come_packed_to_who_takes_that() -> None:
    async def scenario(websocket: ClientConnection) -> None:
        text = LONG[: UNPACKED_MAX_BYTES - 1]
        sizes = counting(websocket)
        for _ in range(2):
            await websocket.send(text)
            assert await websocket.recv() == text
        came.append(sum(sizes))

    came: list[int] = []
    run(scenario)
    run(scenario, compression=None)
    run(scenario, path="/mesh")
    packed, plain, elsewhere = came
    assert packed < UNPACKED_MAX_BYTES / 10
    assert plain > 2 * (UNPACKED_MAX_BYTES - 1)
    assert elsewhere == plain


def test_a_bomb_is_unpacked_no_further_than_somebody_has_to_say() -> None:
    async def scenario(websocket: ClientConnection) -> None:
        await websocket.send("x" * (UNPACKED_MAX_BYTES + 1))
        with pytest.raises(ConnectionClosed):
            await websocket.recv()

    told.clear()
    run(scenario)
    assert told == [(ENDED_HERE, OVERSIZED)]


def test_a_bomb_in_a_later_piece_is_one_too() -> None:
    packing = zlib.compressobj(wbits=-15)
    begun = packing.compress(b"x") + packing.flush(zlib.Z_SYNC_FLUSH)
    bomb = packing.compress(bytes(2 * UNPACKED_MAX_BYTES)) + packing.flush(zlib.Z_SYNC_FLUSH)
    taking = agreed(Packing())
    first = Frame(Opcode.TEXT, begun, fin=False, rsv1=True)
    assert taking.decode(first, max_size=None) == Frame(Opcode.TEXT, b"x", fin=False)
    with pytest.raises(PayloadTooBig):
        taking.decode(Frame(Opcode.CONT, bomb, fin=False), max_size=None)


def test_many_small_bombs_are_one() -> None:
    packing = zlib.compressobj(wbits=-15)
    bomb = packing.compress(bytes(UNPACKED_MAX_BYTES // 4)) + packing.flush(zlib.Z_SYNC_FLUSH)
    taking = agreed(Packing())
    whole = Frame(Opcode.TEXT, bomb.removesuffix(b"\x00\x00\xff\xff"), rsv1=True)
    for _ in range(4):
        assert len(taking.decode(whole).data) == UNPACKED_MAX_BYTES // 4
    with pytest.raises(PayloadTooBig):
        taking.decode(whole)


def test_small_bombs_that_come_at_once_end_the_connection() -> None:
    def write(websocket: ClientConnection, *texts: str) -> None:
        for text in texts:
            websocket.protocol.send_text(text.encode())
        websocket.transport.write(b"".join(websocket.protocol.data_to_send()))

    async def at_once(websocket: ClientConnection) -> None:
        write(websocket, *["x" * (UNPACKED_MAX_BYTES // 2)] * 100)
        await websocket.wait_closed()

    async def one_after_another(websocket: ClientConnection) -> None:
        for _ in range(6):
            write(websocket, "x" * (UNPACKED_MAX_BYTES // 2))
            assert len(await websocket.recv()) == UNPACKED_MAX_BYTES // 2

    told.clear()
    run(at_once)
    run(one_after_another)
    assert told[0] == (ENDED_HERE, OVERSIZED)
    assert told[1][1] != OVERSIZED
