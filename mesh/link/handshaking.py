"""Handshakes over a connection: who speaks when, for how long, and how many at once."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.link.connection import Connection, ConnectionClosed
from buildnet.mesh.link.handshake import Accepted, Claim, HandshakeError, Initiator, Responder

HANDSHAKE_S = 10.0
MAX_UNFINISHED = 64
MAX_UNFINISHED_PER_HOST = 8


async def initiate(connection: Connection, initiator: Initiator) -> Accepted:
    """Run the dialling side until the responder has decided, within :data:`HANDSHAKE_S`.

    Raises:
        HandshakeError, ConnectionClosed, TimeoutError: nothing came of it.
    """
    async with asyncio.timeout(HANDSHAKE_S):
        await connection.send(initiator.start())
        await connection.send(initiator.receive(await connection.receive()))
        accepted = initiator.finish(await connection.receive())
    if accepted is None:
        raise HandshakeError("undecided", "only who asks to join has to wait")
    return accepted


async def hear(connection: Connection, responder: Responder) -> Claim:
    """Run the dialled side until the initiator has proven who it is.

    Raises:
        HandshakeError, ConnectionClosed: nothing came of it.
    """
    await connection.send(responder.answer(await connection.receive()))
    return responder.receive(await connection.receive())


@dataclass(slots=True, eq=False)
class _Slot:
    host: str
    timeout: asyncio.Timeout


class HandshakeSlots:
    """Bounds handshakes that are not finished: :data:`MAX_UNFINISHED` in all and
    :data:`MAX_UNFINISHED_PER_HOST` from one host. One more ends the oldest, so that whoever only
    opens connections displaces itself.

    Loopback counts in all only: a proxy or many nodes may stand behind it.
    """

    def __init__(self, on_displaced: Callable[[str], None]) -> None:
        self._on_displaced = on_displaced
        self._slots: list[_Slot] = []

    def __len__(self) -> int:
        return len(self._slots)

    @asynccontextmanager
    async def taken(self, remote: str) -> AsyncIterator[None]:
        """Hold a slot for a handshake with ``remote`` (``host:port``).

        Raises:
            TimeoutError: after :data:`HANDSHAKE_S`, or displaced by newer ones.
        """
        host = host_of(remote)
        self._make_room(host)
        async with asyncio.timeout(HANDSHAKE_S) as timeout:
            slot = _Slot(host, timeout)
            self._slots.append(slot)
            try:
                yield
            finally:
                if slot in self._slots:
                    self._slots.remove(slot)

    def _make_room(self, host: str) -> None:
        same = [slot for slot in self._slots if slot.host == host]
        if len(same) >= MAX_UNFINISHED_PER_HOST and not _is_loopback(host):
            self._displace(same[0])
        elif len(self._slots) >= MAX_UNFINISHED:
            self._displace(self._slots[0])

    def _displace(self, slot: _Slot) -> None:
        self._slots.remove(slot)
        slot.timeout.reschedule(asyncio.get_running_loop().time())
        self._on_displaced(slot.host)


def host_of(remote: str) -> str:
    """Return the host of ``host:port``."""
    return remote.rpartition(":")[0].strip("[]") or remote


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def reason_of(error: Exception) -> str:
    """Say in few words why a connection or its handshake failed."""
    if isinstance(error, HandshakeError):
        return error.reason
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, ConnectionClosed):
        return error.reason or "connection closed"
    return error.message if isinstance(error, BuildNetError) else str(error)
