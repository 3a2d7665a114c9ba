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
from buildnet.mesh.events import Note
from buildnet.mesh.wire import WireError

INLINE = 6
"""So many entries are checked in the event loop's thread."""
MAX_TOGETHER = 512
"""Entries in one step; the next ones wait meanwhile."""
MAX_WAITING_BYTES = 8 << 20
"""Of one peer; beyond it entries are dropped, and fetched again later."""

Verify = Callable[[bytes, bytes, bytes], bool]


class Verifying:
    """Checks what :meth:`put` brings, in order, and hands it to ``feed``. ``verify(key, message,
    signature)`` may be called from another thread."""

    def __init__(
        self,
        verify: Verify,
        feed: Callable[[EntriesArrived], None],
        note: Callable[[Note], None],
    ) -> None:
        self._verify = verify
        self._feed = feed
        self._note = note
        self._waiting: deque[tuple[bytes, Entries]] = deque()
        self._bytes: dict[bytes, int] = {}
        self._something = asyncio.Event()

    def put(self, sender: bytes, said: Entries) -> None:
        """Take a message; returns at once."""
        size = _size(said)
        held = self._bytes.get(sender, 0)
        if held + size > MAX_WAITING_BYTES:
            self._note(Note("ledger: entries dropped, too many at once", sender))
            return
        self._bytes[sender] = held + size
        self._waiting.append((sender, said))
        self._something.set()

    async def run(self) -> None:
        """Check until cancelled."""
        while True:
            await self._something.wait()
            batch = self._next()
            if not self._waiting:
                self._something.clear()
            if sum(len(said.entries) for _, said in batch) <= INLINE:
                checked = self._check(batch)
            else:
                checked = await asyncio.to_thread(self._check, batch)
            for sender, found in checked:
                if isinstance(found, str):
                    self._note(Note(found, sender))
                else:
                    self._feed(EntriesArrived(sender, found))

    def _next(self) -> list[tuple[bytes, Entries]]:
        batch: list[tuple[bytes, Entries]] = []
        count = 0
        while self._waiting and count < MAX_TOGETHER:
            sender, said = self._waiting.popleft()
            left = self._bytes[sender] - _size(said)
            if left:
                self._bytes[sender] = left
            else:
                del self._bytes[sender]
            batch.append((sender, said))
            count += len(said.entries)
        return batch

    def _check(
        self, batch: list[tuple[bytes, Entries]]
    ) -> list[tuple[bytes, tuple[Entry, ...] | str]]:
        return [(sender, self._read(said)) for sender, said in batch]

    def _read(self, said: Entries) -> tuple[Entry, ...] | str:
        """Return the entries; or why the message is refused as a whole: its sender should have
        checked each."""
        try:
            entries = tuple(Entry.decode(signed) for signed in said.entries)
        except WireError:
            return "ledger: entry malformed"
        if not all(entry.is_signed(self._verify) for entry in entries):
            return "ledger: entry forged"
        return entries


def _size(said: Entries) -> int:
    return sum(map(len, said.entries))
