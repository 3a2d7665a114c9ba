"""Relaying: sessions through a third member, at both ends and in between.

The end-to-end handshake runs inside, so a relayed connection is used like any other one. A relay
grants few sessions and little bandwidth: it helps, it is no highway. All that it hands on to one
peer stays below half of what that peer takes from a link, whoever sends it, and honest ends keep to
what a session may carry: so nobody is taken for a flood because of what others put in.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from buildnet.mesh.allowance import Allowance
from buildnet.mesh.events import Note
from buildnet.mesh.identity import node_id_of
from buildnet.mesh.link.connection import Connection, ConnectionClosed
from buildnet.mesh.link.peer import BYTES_BURST, BYTES_PER_S, MESSAGES_BURST, MESSAGES_PER_S
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
SESSION_MESSAGES_PER_S = 100.0
SESSION_MESSAGES_BURST = 1000.0
HONEST_SHARE = 0.8
"""Of what a session may carry an honest end puts in so much: messages may bunch on the way."""
IDLE_S = 120.0
_MAX_UNREAD = 256
_PACE_S = 0.02

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

    def is_clogged(self, peer: bytes) -> bool:
        """Tell whether much waits to be said to it."""

    def note(self, note: Note) -> None:
        """Count something."""

    def offered(self, connection: Connection, relay: bytes) -> None:
        """Serve a connection that somebody opened through ``relay``."""


class _Quota:
    """What may pass: messages and bytes."""

    def __init__(
        self, messages: tuple[float, float], size_bytes: tuple[float, float], now: float
    ) -> None:
        self._messages = Allowance(*messages, now)
        self._bytes = Allowance(*size_bytes, now)

    @classmethod
    def of_session(cls, now: float, share: float = 1.0) -> _Quota:
        """What one end may put into a session."""
        return cls(
            (SESSION_MESSAGES_PER_S * share, SESSION_MESSAGES_BURST * share),
            (SESSION_BYTES_PER_S * share, SESSION_BYTES_BURST * share),
            now,
        )

    @classmethod
    def of_peer(cls, now: float) -> _Quota:
        """What is put into a peer's link by all sessions together: half of what it takes."""
        return cls(
            (MESSAGES_PER_S / 2, MESSAGES_BURST / 2), (BYTES_PER_S / 2, BYTES_BURST / 2), now
        )

    def has(self, size_bytes: int, now: float, messages: int = 1) -> bool:
        """Tell whether so much may pass at ``now``."""
        return self._messages.left(now) >= messages and self._bytes.left(now) >= size_bytes

    def take(self, size_bytes: int, now: float, messages: int = 1) -> bool:
        """Tell whether so much may pass at ``now``; if so, it is taken."""
        if not self.has(size_bytes, now, messages):
            return False
        return self._messages.take(messages, now) and self._bytes.take(size_bytes, now)

    def left(self, now: float) -> float:
        """Return the share of a session's burst that is left: the loudest has the least."""
        return min(
            self._messages.left(now) / SESSION_MESSAGES_BURST,
            self._bytes.left(now) / SESSION_BYTES_BURST,
        )


class RelayedConnection:
    """One end of a session: a :class:`~buildnet.mesh.link.connection.Connection`."""

    def __init__(self, relays: Relays, leg: _Leg, other: bytes) -> None:
        self._relays = relays
        self._leg = leg
        self._other = other
        self._quota = _Quota.of_session(relays.clock(), HONEST_SHARE)
        self._arrived: asyncio.Queue[bytes | None] = asyncio.Queue(_MAX_UNREAD + 1)
        self._closed: str | None = None

    @property
    def remote(self) -> str:
        """The other end and the relay; limits by address count by relay."""
        return f"relay-{node_id_of(self._leg[0])}:{node_id_of(self._other)}"

    async def send(self, data: bytes) -> None:
        """Send one message of at most 62 KiB, once the relay takes it."""
        if len(data) > MAX_RELAYED_BYTES:
            raise ConnectionClosed(1009, "too large for a relay")
        while self._closed is None:
            await self._relays.carrier.drained(self._leg[0])
            if self._closed is not None or self._relays.may_send(self._leg, self._quota, data):
                break
            await asyncio.sleep(_PACE_S)
        if self._closed is not None:
            raise ConnectionClosed(1006, self._closed)
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
    quota: _Quota
    used_at: float


class Relays:
    """All sessions of one node, those it relays and those it is an end of."""

    def __init__(
        self, carrier: Carrier, numbers: random.Random, clock: Callable[[], float]
    ) -> None:
        self.carrier = carrier
        self._numbers = numbers
        self.clock = clock
        self._quotas: dict[bytes, _Quota] = {}
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
        self._quotas.pop(peer, None)

    def check(self, now: float) -> None:
        """End sessions that nobody uses."""
        for leg, relayed in list(self._relayed.items()):
            if leg in self._relayed and now - relayed.used_at > IDLE_S:
                self._refuse(leg, "relay idle")

    def forget(self, leg: _Leg) -> None:
        """Take note that this end closed its session."""
        self._ends.pop(leg, None)

    def may_send(self, leg: _Leg, quota: _Quota, data: bytes) -> bool:
        """Tell whether this end's message goes into its session now; if so, it is taken."""
        now, size = self.clock(), len(data)
        of_link = self._quota_of(leg[0], now)
        return of_link.has(size, now) and quota.take(size, now) and of_link.take(size, now)

    def _quota_of(self, peer: bytes, now: float) -> _Quota:
        return self._quotas.setdefault(peer, _Quota.of_peer(now))

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
        now = self.clock()
        if not self._quota_of(target, now).take(0, now, messages=2):  # that it opens, and ends
            self.carrier.note(Note(QUOTA, sender, "sessions too fast"))
            self.carrier.say(sender, RelayClose(session, QUOTA))
            return
        onward = (target, self._number())
        for here, there in ((leg, onward), (onward, leg)):
            self._relayed[here] = _Relayed(there, sender, _Quota.of_session(now), now)
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
        now = relayed.used_at = self._relayed[relayed.onward].used_at = self.clock()
        if not relayed.quota.take(len(data), now):
            self._end_for_quota(leg)
            return
        to = relayed.onward[0]
        is_full = not self._quota_of(to, now).take(len(data), now)
        if is_full or self.carrier.is_clogged(to):
            loudest = self._loudest(to, now)
            self._end_for_quota(loudest)
            if loudest == leg:
                return
        self.carrier.say(to, RelayData(relayed.onward[1], data))

    def _loudest(self, to: bytes, now: float) -> _Leg:
        """Return the leg that puts most into the link to a peer."""
        legs = (leg for leg, relayed in self._relayed.items() if relayed.onward[0] == to)
        return min(legs, key=lambda leg: self._relayed[leg].quota.left(now))

    def _end_for_quota(self, leg: _Leg) -> None:
        self.carrier.note(Note(QUOTA, leg[0], "too much in a session"))
        self._refuse(leg, QUOTA)

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
