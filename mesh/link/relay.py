"""Relaying: sessions through a third member, at both ends and in between.

The end-to-end handshake runs inside, so a relayed connection is used like any other one. A relay
grants few sessions and little bandwidth: it helps, it is no highway.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from buildnet.mesh.events import Note
from buildnet.mesh.identity import node_id_of
from buildnet.mesh.link.connection import Connection, ConnectionClosed
from buildnet.mesh.link.peer import Allowance
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.messages.relay import (
    MAX_RELAYED_BYTES,
    RelayClose,
    RelayData,
    RelayOffer,
    RelayOpen,
)

MAX_SESSIONS = 64
MAX_SESSIONS_PER_PEER = 16
MAX_INCOMING = 32
SESSION_BYTES_PER_S = 512.0 * 1024
SESSION_BYTES_BURST = 4.0 * 1024 * 1024
IDLE_S = 120.0
_MAX_UNREAD = 256

QUOTA = "relay quota"
NOT_LINKED = "relay not linked"
_Leg = tuple[bytes, int]  # a peer, and the session's number on the link to it


class Carrier(Protocol):
    """The links that sessions travel on."""

    def say(self, to: bytes, message: Message) -> None:
        """Say it to a linked peer."""

    def is_direct(self, peer: bytes) -> bool:
        """Tell whether a link stands to it that is not relayed itself."""

    async def drained(self, peer: bytes) -> None:
        """Wait until little waits to be said to it; at once without a link."""

    def note(self, note: Note) -> None:
        """Count something."""

    def offered(self, connection: Connection, relay: bytes) -> None:
        """Serve a connection that somebody opened through ``relay``."""


class RelayedConnection:
    """One end of a session: a :class:`~buildnet.mesh.link.connection.Connection`."""

    def __init__(self, relays: Relays, leg: _Leg, other: bytes) -> None:
        self._relays = relays
        self._leg = leg
        self._other = other
        self._arrived: asyncio.Queue[bytes | None] = asyncio.Queue(_MAX_UNREAD + 1)
        self._closed: str | None = None

    @property
    def remote(self) -> str:
        """The other end and the relay; limits by address count by relay."""
        return f"relay-{node_id_of(self._leg[0])}:{node_id_of(self._other)}"

    async def send(self, data: bytes) -> None:
        """Send one message of at most 62 KiB."""
        if self._closed is None:
            await self._relays.carrier.drained(self._leg[0])
        if self._closed is not None:
            raise ConnectionClosed(1006, self._closed)
        if len(data) > MAX_RELAYED_BYTES:
            raise ConnectionClosed(1009, "too large for a relay")
        self._relays.carrier.say(self._leg[0], RelayData(self._leg[1], data))

    async def receive(self) -> bytes:
        """Return the next message."""
        data = await self._arrived.get()
        if data is None:
            self._arrived.put_nowait(None)  # for whoever asks again
            raise ConnectionClosed(1006, self._closed or "")
        return data

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """End the session."""
        if self._closed is None:
            self._relays.forget(self._leg)
            self._relays.carrier.say(self._leg[0], RelayClose(self._leg[1], reason[:64]))
            self.ended(reason)

    def arrived(self, data: bytes) -> bool:
        """Take a message; False: nobody reads them."""
        if self._arrived.qsize() >= _MAX_UNREAD:
            return False
        self._arrived.put_nowait(data)
        return True

    def ended(self, reason: str) -> None:
        """Take note that the session is over."""
        if self._closed is None:
            self._closed = reason
            self._arrived.put_nowait(None)


@dataclass(slots=True)
class _Relayed:
    """A session that this node relays, seen from one leg."""

    onward: _Leg
    opener: bytes
    allowance: Allowance
    used_at: float


class Relays:
    """All sessions of one node, those it relays and those it is an end of."""

    def __init__(
        self, carrier: Carrier, numbers: random.Random, clock: Callable[[], float]
    ) -> None:
        self.carrier = carrier
        self._numbers = numbers
        self._clock = clock
        self._ends: dict[_Leg, RelayedConnection] = {}
        self._relayed: dict[_Leg, _Relayed] = {}

    def open(self, peer: bytes, through: bytes) -> RelayedConnection:
        """Open a session to ``peer``; whether it comes about, its first message tells."""
        leg = (through, self._number())
        connection = RelayedConnection(self, leg, peer)
        if self.carrier.is_direct(through):
            self._ends[leg] = connection
            self.carrier.say(through, RelayOpen(leg[1], peer))
        else:
            connection.ended(NOT_LINKED)
        return connection

    def handle(self, sender: bytes, message: Message) -> bool:
        """Take a message of relaying; False: it is none."""
        match message:
            case RelayOpen(session, target):
                self._open(sender, session, target)
            case RelayOffer(session, source):
                self._offered(sender, session, source)
            case RelayData(session, data):
                self._data((sender, session), data)
            case RelayClose(session, reason):
                self._close((sender, session), reason)
            case _:
                return False
        return True

    def link_down(self, peer: bytes) -> None:
        """End all sessions over the link to ``peer``."""
        for leg in [leg for leg in (*self._ends, *self._relayed) if leg[0] == peer]:
            self._close(leg, "relay lost")

    def check(self, now: float) -> None:
        """End sessions that nobody uses."""
        for leg, relayed in list(self._relayed.items()):
            if leg in self._relayed and now - relayed.used_at > IDLE_S:
                self._refuse(leg, "relay idle")

    def forget(self, leg: _Leg) -> None:
        """Take note that this end closed its session."""
        self._ends.pop(leg, None)

    @property
    def sessions(self) -> int:
        """How many sessions this node relays."""
        return len(self._relayed) // 2

    def _open(self, sender: bytes, session: int, target: bytes) -> None:
        leg = (sender, session)
        if leg in self._relayed or leg in self._ends:
            return
        mine = sum(1 for at, known in self._relayed.items() if at[0] == known.opener == sender)
        if self.sessions >= MAX_SESSIONS or mine >= MAX_SESSIONS_PER_PEER:
            self.carrier.note(Note(QUOTA, sender, "sessions"))
            self.carrier.say(sender, RelayClose(session, QUOTA))
            return
        if target == sender or not self.carrier.is_direct(target):
            self.carrier.say(sender, RelayClose(session, NOT_LINKED))
            return
        now = self._clock()
        onward = (target, self._number())
        for here, there in ((leg, onward), (onward, leg)):
            allowance = Allowance(SESSION_BYTES_PER_S, SESSION_BYTES_BURST, now)
            self._relayed[here] = _Relayed(there, sender, allowance, now)
        self.carrier.say(target, RelayOffer(onward[1], sender))

    def _offered(self, relay: bytes, session: int, source: bytes) -> None:
        leg = (relay, session)
        if leg in self._ends or leg in self._relayed:
            return
        if sum(1 for at in self._ends if at[0] == relay) >= MAX_INCOMING:
            self.carrier.note(Note(QUOTA, relay, "offers"))
            self.carrier.say(relay, RelayClose(session, QUOTA))
            return
        connection = RelayedConnection(self, leg, source)
        self._ends[leg] = connection
        self.carrier.offered(connection, relay)

    def _data(self, leg: _Leg, data: bytes) -> None:
        if (end := self._ends.get(leg)) is not None:
            if not end.arrived(data):
                self._refuse(leg, "relayed link not read")
            return
        relayed = self._relayed.get(leg)
        if relayed is None:
            self.carrier.say(leg[0], RelayClose(leg[1], "no such session"))
            return
        relayed.used_at = self._relayed[relayed.onward].used_at = self._clock()
        if not relayed.allowance.take(len(data), relayed.used_at):
            self.carrier.note(Note(QUOTA, leg[0], "bytes"))
            self._refuse(leg, QUOTA)
            return
        self.carrier.say(relayed.onward[0], RelayData(relayed.onward[1], data))

    def _refuse(self, leg: _Leg, reason: str) -> None:
        """End a session from here: tell the leg's own side too."""
        self.carrier.say(leg[0], RelayClose(leg[1], reason))
        self._close(leg, reason)

    def _close(self, leg: _Leg, reason: str) -> None:
        if (end := self._ends.pop(leg, None)) is not None:
            end.ended(reason)
        elif (relayed := self._relayed.pop(leg, None)) is not None:
            del self._relayed[relayed.onward]
            self.carrier.say(relayed.onward[0], RelayClose(relayed.onward[1], reason))

    def _number(self) -> int:
        return self._numbers.getrandbits(62)
