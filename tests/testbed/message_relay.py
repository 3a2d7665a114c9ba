"""A relay between two nodes that sees whole messages, and may do to them what it likes.

It stands where a malicious proxy or middlebox would: a WebSocket to each side and whatever it wants
in between. It can't read what is sealed; what it can do is alter, drop, repeat, delay and reorder.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from websockets.asyncio.client import connect
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from testbed.fault_proxy import Direction

Meddle = Callable[[Direction, int, bytes], Sequence[bytes]]
"""Given direction, number of the message in its direction (from 0) and bytes: what to pass on
instead, in order."""


class MessageRelay:
    """Passes the messages of WebSockets on, through :attr:`meddle`, while the context is open."""

    def __init__(self, target_host: str, target_port: int, *, host: str = "127.0.0.1") -> None:
        self.host = host
        self.port = 0
        self.meddle: Meddle | None = None
        self.messages = 0
        self._target = f"ws://{target_host}:{target_port}"
        self._server: Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._relay, self.host, 0, compression=None, max_size=None, ping_interval=None
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    @property
    def address(self) -> str:
        """``HOST:PORT`` to connect to."""
        return f"{self.host}:{self.port}"

    async def _relay(self, client: ServerConnection) -> None:
        path = client.request.path if client.request else "/"
        try:
            async with connect(
                self._target + path, compression=None, max_size=None, ping_interval=None
            ) as target:
                ways = (
                    asyncio.create_task(self._pass(Direction.TO_TARGET, client, target)),
                    asyncio.create_task(self._pass(Direction.TO_CLIENT, target, client)),
                )
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
                    await asyncio.gather(*ways, return_exceptions=True)
        except (OSError, InvalidHandshake):
            await client.close(1014, "nobody there")

    async def _pass(self, direction: Direction, source: Connection, sink: Connection) -> None:
        number = 0
        with contextlib.suppress(ConnectionClosed):
            async for message in source:
                self.messages += 1
                passed: Sequence[bytes | str] = [message]
                if self.meddle is not None and isinstance(message, bytes):
                    passed = self.meddle(direction, number, message)
                number += 1
                for each in passed:
                    await sink.send(each)


def altered(direction: Direction, number: int, position: int, bit: int = 0) -> Meddle:
    """Turn over one bit of one message."""

    def meddle(way: Direction, index: int, message: bytes) -> Sequence[bytes]:
        if (way, index) != (direction, number) or not message:
            return [message]
        at = position % len(message)
        return [message[:at] + bytes([message[at] ^ (1 << bit)]) + message[at + 1 :]]

    return meddle


def dropped(direction: Direction, number: int) -> Meddle:
    """Let one message vanish."""
    return lambda way, index, message: [] if (way, index) == (direction, number) else [message]


def repeated(direction: Direction, number: int) -> Meddle:
    """Pass one message on twice."""
    return lambda way, index, message: [message] * (1 + ((way, index) == (direction, number)))


def swapped(direction: Direction, number: int) -> Meddle:
    """Pass one message on after the one that follows it."""
    held: list[bytes] = []

    def meddle(way: Direction, index: int, message: bytes) -> Sequence[bytes]:
        if way is direction and index == number:
            held.append(message)
            return []
        if way is direction and index == number + 1 and held:
            return [message, held.pop()]
        return [message]

    return meddle
