"""Entries that peers send: decoded, and their signatures checked, before the core sees them.

A few are checked at once. Many are checked in a thread, since each signature takes some 50 us and
the event loop has heartbeats to answer; the check lets go of the interpreter's lock.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from buildnet.ledger.entry import Entry
from buildnet.ledger.events import EntriesArrived
from buildnet.ledger.messages import Entries
from buildnet.ledger.service.useless import Useless
from buildnet.mesh.events import Note, Received
from buildnet.mesh.wire import WireError

INLINE = 32
"""So many entries are checked in the event loop's thread."""
MAX_TOGETHER = 512
"""Entries in one step; the next ones wait meanwhile."""
MAX_WAITING_BYTES = 8 << 20
"""Of one peer; beyond it entries are dropped, and fetched again later."""

Verify = Callable[[bytes, bytes, bytes], bool]
_Found = EntriesArrived | Received | Note
_Checked = tuple[list[Received], list[_Found]]
"""Messages, and what became of them."""


class Verifying:
    """Checks what :meth:`put` brings, in order, and hands it to ``feed``. Other messages of a peer
    whose entries are being checked wait behind them: a proposal names entries sent before it.
    ``verify(key, message, signature)`` may be called from another thread. Entries of a peer that
    sent too many of no use are dropped unread."""

    def __init__(
        self,
        verify: Verify,
        feed: Callable[[EntriesArrived | Received], None],
        note: Callable[[Note], None],
        useless: Useless,
    ) -> None:
        self._useless = useless
        self._verify = verify
        self._feed = feed
        self._note = note
        self._waiting: deque[Received] = deque()
        self._bytes: dict[bytes, int] = {}
        self._something = asyncio.Event()

    def put(self, event: Received) -> None:
        """Take a message; returns at once."""
        sender = event.sender
        held = self._bytes.get(sender, 0)
        if not held and not isinstance(event.message, Entries):
            self._feed(event)
            return
        if isinstance(event.message, Entries) and not self._useless.may_send(sender):
            self._note(Note("ledger: entries of no use, too many", sender))
            return
        if held + _size(event) > MAX_WAITING_BYTES:
            self._note(Note("ledger: entries dropped, too many at once", sender))
            return
        self._bytes[sender] = held + _size(event)
        self._waiting.append(event)
        self._something.set()

    async def run(self) -> None:
        """Check until cancelled. While a thread checks many, those before are handed on."""
        loop = asyncio.get_running_loop()
        done: _Checked = ([], [])
        while True:
            if not self._waiting:
                self._something.clear()
                self._hand_on(done)
                done = ([], [])
                await self._something.wait()
            batch = self._next()
            if sum(_count(event) for event in batch) <= INLINE:
                self._hand_on(done)
                done = (batch, self._check(batch))
            else:
                checking = loop.run_in_executor(None, self._check, batch)
                self._hand_on(done)
                done = (batch, await checking)

    def _hand_on(self, done: _Checked) -> None:
        batch, checked = done
        for event in batch:
            left = self._bytes[event.sender] - _size(event)
            if left:
                self._bytes[event.sender] = left
            else:
                del self._bytes[event.sender]
        for event, found in zip(batch, checked, strict=True):
            if isinstance(found, Note):
                self._useless.charge(event.sender, _count(event))
                self._note(found)
                continue
            if isinstance(found, EntriesArrived):
                self._useless.weigh(found.sender, found.entries)
            self._feed(found)

    def _next(self) -> list[Received]:
        batch: list[Received] = []
        count = 0
        while self._waiting and count < MAX_TOGETHER:
            event = self._waiting.popleft()
            batch.append(event)
            count += _count(event)
        return batch

    def _check(self, batch: list[Received]) -> list[_Found]:
        return [
            self._read(event.sender, event.message) if isinstance(event.message, Entries) else event
            for event in batch
        ]

    def _read(self, sender: bytes, said: Entries) -> EntriesArrived | Note:
        """Read a message's entries. It is refused as a whole: its sender should have checked it."""
        try:
            entries = tuple(Entry.decode(signed) for signed in said.entries)
        except WireError:
            return Note("ledger: entry malformed", sender)
        if not all(entry.is_signed(self._verify) for entry in entries):
            return Note("ledger: entry forged", sender)
        return EntriesArrived(sender, entries)


def _count(event: Received) -> int:
    return len(event.message.entries) if isinstance(event.message, Entries) else 0


def _size(event: Received) -> int:
    return max(event.size_bytes, 1)
