"""HTTP connections of strangers, bounded: nobody may hold the node's port by doing nothing.

uvicorn waits for ever for a request that never comes, reads request headers without end, and keeps
an answer that nobody takes. Here the head and the body of a request have little time and room, and
whoever does not read is let go. Who asks is a stranger until the gate knows better: of too many
strangers the oldest makes room for the next, first among those of one address. Who is known may
stay, so that no crowd of strangers ends the stream of somebody with a key; each has so many
connections. What is a WebSocket is the mesh's and the events' to bound.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from buildnet.pool.health import NOTHING_ASKED

HEAD_TIMEOUT_S = 10.0
HEAD_MAX_BYTES = 32 * 1024
HEADERS_MAX = 100
BODY_TIMEOUT_S = 30.0
UNREAD_TIMEOUT_S = 60.0
"""How long an answer waits for somebody to read on."""
STRANGERS_MAX = 256
"""Connections at once that are no WebSocket and of nobody who is known."""
STRANGERS_EACH_MAX = 64
"""Of those, from one address (of IPv6: from one /64)."""
KNOWN_EACH_MAX = 256
"""Connections at once of one key or session."""
WELCOME = "buildnet.welcome"
"""In a request's scope, among ``extensions``: what tells the guard who asks."""

Refused = Callable[[str, str], None]
"""Told the reason, in a few stable words, and the address of who caused it."""


class Visitors:
    """The plain HTTP connections of one server: strangers, the oldest first, and who is known."""

    def __init__(
        self,
        refused: Refused,
        most: int = STRANGERS_MAX,
        most_each: int = STRANGERS_EACH_MAX,
        most_known: int = KNOWN_EACH_MAX,
    ) -> None:
        self.refused = refused
        self._most = most
        self._most_each = most_each
        self._most_known = most_known
        self._strangers: dict[str, dict[GuardedHttp, None]] = {}
        self._all: dict[GuardedHttp, str] = {}
        self._known: dict[GuardedHttp, str] = {}
        self._counts: Counter[str] = Counter()

    def add(self, connection: GuardedHttp) -> None:
        """Take a stranger in; the oldest goes if there are too many."""
        network = network_of(connection.remote)
        neighbours = self._strangers.get(network, {})
        if len(neighbours) >= self._most_each:
            next(iter(neighbours)).end("too many idle connections of one address")
        elif len(self._all) >= self._most:
            next(iter(self._all)).end("too many idle connections")
        self._strangers.setdefault(network, {})[connection] = None
        self._all[connection] = network

    def know(self, connection: GuardedHttp, who: str) -> bool:
        """Take note of who a stranger is; False: they have too many connections."""
        if self._known.get(connection) == who:
            return True
        if self._counts[who] >= self._most_known:
            return False
        self.remove(connection)
        self._known[connection] = who
        self._counts[who] += 1
        return True

    def remove(self, connection: GuardedHttp) -> None:
        """Forget one that ended or became a WebSocket."""
        network = self._all.pop(connection, None)
        if network is not None:
            neighbours = self._strangers[network]
            del neighbours[connection]
            if not neighbours:
                del self._strangers[network]
        who = self._known.pop(connection, None)
        if who is not None:
            self._counts[who] -= 1
            if not self._counts[who]:
                del self._counts[who]


def network_of(host: str) -> str:
    """Return what counts as one address: of IPv6 a /64, of which each host has all."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return host


class GuardedHttp(HttpToolsProtocol):
    """uvicorn's HTTP protocol with bounds on time and room for each request, and on time for who
    does not read the answer."""

    def __init__(self, *args: Any, visitors: Visitors, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._visitors = visitors
        self._chunk_bytes = 0
        self._head_bytes = 0
        self._in_head = True
        self._between = False
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    @property
    def remote(self) -> str:
        """The address of who is there."""
        return self.client[0] if self.client else ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A visitor came."""
        super().connection_made(transport)
        self._visitors.add(self)
        self._wait(HEAD_TIMEOUT_S, "no request in time")

    def connection_lost(self, exc: Exception | None) -> None:
        """It went."""
        self._leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came, unless it is a head without an end."""
        self._chunk_bytes = len(data)
        self._head_bytes += self._chunk_bytes
        if self._between:  # empty lines are no request
            self._wait(HEAD_TIMEOUT_S, "no request in time")
        super().data_received(data)
        if self._in_head and self._head_bytes > HEAD_MAX_BYTES:
            self.end("request head too large")

    def on_message_begin(self) -> None:
        """A request begins, the first one or another one; what came with its beginning counts."""
        self._in_head, self._between = True, False
        self._head_bytes = self._chunk_bytes
        self._wait(HEAD_TIMEOUT_S, "no request in time")
        super().on_message_begin()
        self.scope["extensions"] = {WELCOME: {"know": self._know}}

    def on_header(self, name: bytes, value: bytes) -> None:
        """One more line of the head, or of what follows a body in parts.

        Raises:
            ValueError: there are too many.
        """
        super().on_header(name, value)
        if len(self.headers) > HEADERS_MAX:
            raise ValueError("too many headers")  # which ends the parsing

    def on_headers_complete(self) -> None:
        """Its head is there; its body is to follow.

        Raises:
            ValueError: it is too large, though it came at once.
        """
        fields = sum(len(name) + len(value) for name, value in self.headers)
        if len(self.url) + fields > HEAD_MAX_BYTES:
            raise ValueError("request head too large")  # which ends the parsing
        self._in_head = False
        self._stop_waiting()
        self._wait(BODY_TIMEOUT_S, "no body in time")
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """All of it is there."""
        self._between = True
        self._stop_waiting()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """It is no HTTP."""
        self._visitors.refused("request malformed", self.remote)
        super().send_400_response(msg)

    def handle_websocket_upgrade(self) -> None:
        """It is a WebSocket from now on."""
        self._leave()
        super().handle_websocket_upgrade()

    def pause_writing(self) -> None:
        """Nobody reads the answer, for now."""
        super().pause_writing()
        if self._unread is None:
            why = "answer not read in time"
            self._unread = self.loop.call_later(UNREAD_TIMEOUT_S, self.end, why)

    def resume_writing(self) -> None:
        """Somebody does."""
        self._stop_unread()
        super().resume_writing()

    def end(self, reason: str) -> None:
        """End the connection at once."""
        self._leave()
        self._visitors.refused(reason, self.remote)
        self.transport.abort()

    def _know(self, who: str) -> bool:
        return self._visitors.know(self, who)

    def _leave(self) -> None:
        self._visitors.remove(self)
        self._stop_waiting()
        self._stop_unread()

    def _wait(self, longest_s: float, why: str) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(longest_s, self._late, why)

    def _late(self, why: str) -> None:
        self.end(why if self._head_bytes else NOTHING_ASKED)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _stop_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
