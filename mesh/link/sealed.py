"""A connection whose handshake is done and that is no link: sealed messages, one at a time."""

from __future__ import annotations

import asyncio

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.link.connection import Connection
from buildnet.mesh.link.frames import FrameCipher
from buildnet.mesh.messages.kinds import Message, decode_message, kind_of
from buildnet.mesh.wire import WireError


class ConversationError(BuildNetError):
    """The other side said something that has no place there."""

    code = "MESH_CONVERSATION"
    http_status = 400


class SealedConnection:
    """Frames over ``connection``, which the node ``peer`` is the other end of (proven)."""

    def __init__(self, connection: Connection, cipher: FrameCipher, peer: bytes) -> None:
        self.connection = connection
        self.peer = peer
        self._cipher = cipher

    async def send(self, plain: bytes) -> None:
        """Seal and send.

        Raises:
            ConnectionClosed: it is closed.
        """
        await self.connection.send(self._cipher.seal(plain))

    async def receive(self) -> bytes:
        """Return the next message, unaltered.

        Raises:
            ConnectionClosed: it is closed.
            FrameError: it was altered on its way; close the connection.
        """
        return self._cipher.open(await self.connection.receive())

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection."""
        await self.connection.close(code, reason)

    async def say(self, message: Message, timeout_s: float) -> None:
        """Send a record: its kind's number in two bytes, then itself.

        Raises:
            ConnectionClosed, TimeoutError: it did not go out.
        """
        async with asyncio.timeout(timeout_s):
            await self.send(kind_of(message).number.to_bytes(2) + message.encode())

    async def hear(self, timeout_s: float) -> Message:
        """Return the next record.

        Raises:
            ConnectionClosed, TimeoutError, FrameError: there is none.
            ConversationError: it is none that this version knows.
        """
        async with asyncio.timeout(timeout_s):
            data = await self.receive()
        try:
            message = decode_message(int.from_bytes(data[:2]), data[2:])
        except WireError as error:
            raise ConversationError("the other side said nonsense", cause=error.message) from error
        if message is None:
            raise ConversationError("the other side said something unknown")
        return message
