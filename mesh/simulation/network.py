"""The network between simulated hosts: paths with delay, loss and faults, and links over them.

A link behaves like a TCP connection: in order, nothing lost while it stands, a lost packet is a
delay for all that follows, a cut path is silence until somebody gives up. What differs from link to
link is when things arrive, so messages of one sender overtake each other over two links only.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from buildnet.mesh.messages import Message
from buildnet.mesh.simulation.timeline import Timeline

RETRANSMIT_S = 0.2
"""TCP's least retransmission timeout (Linux); it doubles with each try."""
MAX_LOSS = 0.4
"""Faults that overlap add up to no more."""
_MAX_RETRANSMIT_S = 1.6
GIVE_UP_S = 20.0
"""After how long without an acknowledgement a link is closed by its shell."""
MAX_WAITING_BYTES = 8 << 20
"""What may wait for a peer that does not read, before its link is closed."""
SLOW_READER = "slow reader"
_MOST_QUEUED_S = 1.0
"""What a clogged path holds itself; the rest waits at its sender."""
_DRAIN_S = 0.25
_ENVELOPE_BYTES = 150
_SMALL_BYTES = 100


class Parcel:
    """A message on its way, as bytes; decoded once for all receivers, since it is immutable."""

    __slots__ = ("hlc", "message", "number", "payload", "sender", "size")

    def __init__(self, sender: bytes, number: int, payload: bytes, hlc: int) -> None:
        self.sender = sender
        self.number = number
        self.payload = payload
        self.hlc = hlc
        self.size = len(payload) + _ENVELOPE_BYTES
        self.message: Message | None = None


@dataclass(frozen=True, slots=True)
class Closing:
    """The last that arrives over a link."""

    reason: str


@dataclass(frozen=True, slots=True)
class Leg:
    """One of the six messages of opening a link: WebSocket upgrade and handshake.

    Odd ones come from who dialled; the fifth proves who it is, the sixth that it is welcome.
    """

    number: int
    boot: int


@dataclass(frozen=True, slots=True)
class Forward:
    """What travels through a relay: it is handed on to ``end``."""

    end: End
    item: Item


Item = Parcel | Closing | Leg | Forward


def _size(item: Item) -> int:
    while isinstance(item, Forward):
        item = item.item
    return item.size if isinstance(item, Parcel) else _SMALL_BYTES


class Place(Protocol):
    """A host, as the network sees it."""

    index: int
    dark: bool
    """Without power: silence."""

    def arrive(self, end: End, item: Item, size: int) -> None:
        """Something arrived at this host's end of a link; it waits there until it is read."""

    def gave_up(self, end: End, reason: str) -> None:
        """The kernel closed this host's end of a link."""


class Path:
    """One direction between two hosts."""

    __slots__ = (
        "blocked",
        "busy_until",
        "bytes_per_s",
        "delay_s",
        "draining",
        "extra_s",
        "jitter_s",
        "loss",
        "stuck",
    )

    def __init__(self, delay_s: float, jitter_s: float, loss: float) -> None:
        self.delay_s = delay_s
        self.jitter_s = jitter_s
        self.extra_s = 0.0
        """The greatest additional delay, different for each packet."""
        self.loss = loss
        self.blocked = 0
        """How many faults block it."""
        self.bytes_per_s: float | None = None
        """Of a clogged path."""
        self.draining = False
        self.stuck: dict[End, None] = {}
        """The ends whose packets wait for the path to open again; in order, without values."""
        self.busy_until = 0.0

    def arrival(self, now: float, size: int, random: random.Random) -> float:
        """Return when a packet sent now arrives."""
        delay = self.delay_s + self.jitter_s * random.random()
        if self.extra_s:
            delay += self.extra_s * random.random()
        if self.loss:
            retransmit = RETRANSMIT_S + 2 * self.delay_s
            share = min(self.loss, MAX_LOSS)
            while random.random() < share:
                delay += retransmit
                retransmit = min(2 * retransmit, _MAX_RETRANSMIT_S)
        if self.bytes_per_s is not None:
            now = self.busy_until = max(now, self.busy_until) + size / self.bytes_per_s
        return now + delay


class End:
    """One host's end of a link, and what it says to the other end."""

    __slots__ = (
        "dialled",
        "dialled_to",
        "expected",
        "heard_at",
        "host",
        "last_arrival",
        "open",
        "other",
        "path",
        "peer_boot",
        "stuck",
        "stuck_since",
        "through",
        "up",
        "up_since",
        "waiting_bytes",
    )

    def __init__(self, host: Place, path: Path | None, *, dialled: bool) -> None:
        self.host = host
        self.path = path
        """None where it goes through a relay."""
        self.other: End = self
        self.dialled = dialled
        self.dialled_to: str | None = None
        self.expected: bytes | None = None
        """Whose key must answer."""
        self.through: bytes | None = None
        self.open = True
        self.up = False
        """Told to the core."""
        self.up_since = 0.0
        self.heard_at = 0.0
        self.peer_boot = 0
        self.last_arrival = 0.0
        self.stuck: deque[tuple[Item, int]] = deque()
        self.stuck_since = 0.0
        self.waiting_bytes = 0


class Network:
    """All paths and what is on its way."""

    def __init__(
        self, timeline: Timeline, random: random.Random, *, round_trip_s: float, loss: float
    ) -> None:
        self.timeline = timeline
        self.random = random
        self.round_trip_s = round_trip_s
        self.loss = loss
        self.duplicates = 0.0
        """The share of messages that arrive twice."""
        self.messages = 0
        self.bytes = 0
        self._paths: dict[tuple[int, int], Path] = {}

    def path(self, source: int, target: int) -> Path:
        """Return the path from one host to another."""
        found = self._paths.get((source, target))
        if found is None:
            delay = self.round_trip_s / 2
            found = self._paths[source, target] = Path(delay * 0.9, delay * 0.2, self.loss)
        return found

    def connect(self, dialler: Place, target: Place) -> End:
        """Return the dialler's end of a new link; the other one is open too, nothing was said."""
        near = End(dialler, self.path(dialler.index, target.index), dialled=True)
        far = End(target, self.path(target.index, dialler.index), dialled=False)
        near.other, far.other = far, near
        return near

    def connect_through(self, dialler: Place, target: Place) -> End:
        """Return the dialler's end of a new link that a third host relays."""
        near, far = End(dialler, None, dialled=True), End(target, None, dialled=False)
        near.other, far.other = far, near
        return near

    def send(self, end: End, item: Item) -> None:
        """Send something from ``end`` to the other end, over its own path."""
        path = end.path
        assert path is not None, "a relayed end sends by its host"
        size = _size(item)
        self.messages += 1
        self.bytes += size
        end.waiting_bytes += size
        if end.waiting_bytes > MAX_WAITING_BYTES and not isinstance(item, Closing):
            self.timeline.after(0, end.host.gave_up, end, SLOW_READER)
            return
        if path.blocked or end.stuck or end.other.host.dark or self._is_full(path):
            self._hold(end, path, item, size)
            return
        timeline = self.timeline
        arrival = path.arrival(timeline.now, size, self.random)
        if arrival < end.last_arrival:
            arrival = end.last_arrival
        end.last_arrival = arrival
        timeline.at(arrival, self._arrive, end, item, size)
        if self.duplicates and type(item) is Parcel and self.random.random() < self.duplicates:
            again = arrival + self.random.uniform(0, 0.3)
            timeline.at(again, self._arrive, end, item, 0)

    def block(self, path: Path) -> None:
        """Let nothing through any more; faults that overlap are counted."""
        path.blocked += 1

    def unblock(self, path: Path) -> None:
        """Take back one :meth:`block`; what is stuck goes on when its sender tries again."""
        path.blocked -= 1
        if path.blocked == 0:
            for end in list(path.stuck):
                self.timeline.at(self._next_try(end), self._retry, end)

    def clog(self, path: Path, bytes_per_s: float | None) -> None:
        """Let only so much through; None: everything again, at once what waited."""
        path.bytes_per_s = bytes_per_s
        if bytes_per_s is None:
            path.busy_until = 0.0
            for end in list(path.stuck):
                self._retry(end)

    def forget(self, end: End) -> None:
        """Drop what is stuck: its process and its kernel's memory of it are gone."""
        end.stuck.clear()
        if end.path is not None:
            end.path.stuck.pop(end, None)

    def wake(self, ends: list[End]) -> None:
        """Try again what was stuck because a host was dark."""
        for end in ends:
            if end.stuck:
                self.timeline.at(self._next_try(end), self._retry, end)

    def _hold(self, end: End, path: Path, item: Item, size: int) -> None:
        if not end.stuck:
            end.stuck_since = self.timeline.now
            path.stuck[end] = None
            self.timeline.after(GIVE_UP_S, self._give_up, end, end.stuck_since)
        end.stuck.append((item, size))
        if self._is_full(path) and not path.draining:
            path.draining = True
            self.timeline.after(_DRAIN_S, self._drain, path)

    def _is_full(self, path: Path) -> bool:
        full_at = self.timeline.now + _MOST_QUEUED_S
        return path.bytes_per_s is not None and path.busy_until > full_at

    def _drain(self, path: Path) -> None:
        """Let more of what waits into a clogged path; acknowledgements keep its ends alive."""
        path.draining = False
        if path.bytes_per_s is None or path.blocked:
            return
        for end in list(path.stuck):
            if end.other.host.dark:
                continue
            if self._is_full(path):
                break
            while end.stuck and not self._is_full(path):
                self._pass(end, path, *end.stuck.popleft())
            end.stuck_since = self.timeline.now
            if end.stuck:
                self.timeline.after(GIVE_UP_S, self._give_up, end, end.stuck_since)
            else:
                path.stuck.pop(end, None)
        if path.stuck:
            path.draining = True
            self.timeline.after(_DRAIN_S, self._drain, path)

    def _pass(self, end: End, path: Path, item: Item, size: int) -> None:
        arrival = path.arrival(self.timeline.now, size, self.random)
        arrival = end.last_arrival = max(arrival, end.last_arrival)
        self.timeline.at(arrival, self._arrive, end, item, size)

    def _give_up(self, end: End, since: float) -> None:
        if end.stuck and end.stuck_since == since:
            self.forget(end)
            if end.open:
                end.host.gave_up(end, "no answer")

    def _next_try(self, end: End) -> float:
        wait = RETRANSMIT_S
        when = end.stuck_since + wait
        while when < self.timeline.now:
            wait *= 2
            when += wait
        return when

    def _retry(self, end: End) -> None:
        path = end.path
        if path is None or path.blocked or end.other.host.dark:
            return
        held = list(end.stuck)
        self.forget(end)
        for item, size in held:
            self._pass(end, path, item, size)

    def _arrive(self, sender: End, item: Item, size: int) -> None:
        far = sender.other
        host = far.host
        if host.dark:
            return
        if far.open:
            host.arrive(far, item, size)
        elif sender.open and type(item) is not Closing and far.path is not None:
            # Nobody has this connection here any more; the kernel says so.
            path = far.path
            if not path.blocked:
                when = path.arrival(self.timeline.now, _SMALL_BYTES, self.random)
                self.timeline.at(when, self._reset, sender)

    def _reset(self, end: End) -> None:
        if end.open and not end.host.dark:
            end.host.gave_up(end, "reset")
