"""One port for both: with TLS, and without it for links between nodes, which encrypt by themselves.

The first byte of a connection tells: a TLS client begins with a handshake record, HTTP with a
letter. It is looked at, not taken, so that who serves the connection sees all of it. Connections
that do not begin, or whose handshake does not end, are bounded in number and time.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress

from buildnet.node.http_guard import Refused
from buildnet.pool.health import NOTHING_ASKED

_HANDSHAKE_RECORD = 0x16
BEGIN_TIMEOUT_S = 10.0
"""For a connection's first byte, and again for the handshake."""
BEGINNING_MAX = 96
"""Connections at once that have not begun; of more the oldest ends."""
_AFTER_FAILURE_S = 0.5
_log = logging.getLogger("buildnet.node")

MakeProtocol = Callable[[], asyncio.Protocol]


class MixedListener:
    """Accepts connections at ``listener``, which does not block, and hands each to a protocol of
    its own. ``context`` returns what TLS is answered with at a moment."""

    def __init__(
        self,
        listener: socket.socket,
        make_protocol: MakeProtocol,
        context: Callable[[float], ssl.SSLContext],
        refused: Refused,
    ) -> None:
        self._listener = listener
        self._make_protocol = make_protocol
        self._context = context
        self._refused = refused
        self._beginning: dict[asyncio.Task[None], str] = {}

    async def run(self) -> None:
        """Accept connections until cancelled."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    connection, address = await loop.sock_accept(self._listener)
                except OSError as error:  # such as too many open files
                    _log.error("no connection can be accepted: %s", error)
                    await asyncio.sleep(_AFTER_FAILURE_S)
                    continue
                if len(self._beginning) >= BEGINNING_MAX:
                    oldest = next(iter(self._beginning))
                    self._refused("too many connections that do not begin", self._beginning[oldest])
                    oldest.cancel()
                    del self._beginning[oldest]
                task = group.create_task(self._begin(connection, str(address[0])))
                self._beginning[task] = str(address[0])
                task.add_done_callback(lambda done: self._beginning.pop(done, None))

    async def _begin(self, connection: socket.socket, address: str) -> None:
        handed_over = False
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            first = await self._first_byte(connection)
            if first is None:
                return
            await self._hand_over(connection, is_encrypted=first == _HANDSHAKE_RECORD)
            handed_over = True
        except TimeoutError:
            self._refused(NOTHING_ASKED, address)
        except (ssl.SSLError, ConnectionError):
            self._refused("TLS handshake failed", address)
        except OSError as error:
            _log.debug("a connection of %s ended as it began: %s", address, error)
        finally:
            if not handed_over:
                connection.close()

    async def _hand_over(self, connection: socket.socket, *, is_encrypted: bool) -> None:
        loop = asyncio.get_running_loop()
        if is_encrypted:
            await loop.connect_accepted_socket(
                self._make_protocol,
                connection,
                ssl=self._context(time.monotonic()),
                ssl_handshake_timeout=BEGIN_TIMEOUT_S,
            )
        else:
            await loop.connect_accepted_socket(self._make_protocol, connection)

    async def _first_byte(self, connection: socket.socket) -> int | None:
        """Return the first byte, which stays where it is; None: there is none, it is over."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(BEGIN_TIMEOUT_S):
            while True:
                with suppress(BlockingIOError):
                    found = connection.recv(1, socket.MSG_PEEK)
                    return found[0] if found else None
                readable = asyncio.Event()
                loop.add_reader(connection, readable.set)
                try:
                    await readable.wait()
                finally:
                    loop.remove_reader(connection)
