"""What happens on this node, on its way into the ledger.

Whoever tells something goes on at once. It is written behind them, in the order in which it was
told, and again as long as the ledger can't be written; so no build waits for it or fails by it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Protocol

from buildnet.ledger.draft import DraftError, EntryDraft
from buildnet.ledger.entry import Entry
from buildnet.ledger.store.store import LedgerStore
from buildnet.mesh.errors import BuildNetError
from buildnet.node.failure import in_one_line

MAX_WAITING = 1000
"""Records that wait for the ledger; beyond that new ones are lost, and that is told."""
STOP_S = 1.5
"""How long a node that stops waits until what happened is written."""
SEALED_S = 0.5
"""And until others have the last of it; else its next start begins a new chain to be safe."""
_AGAIN_S = (0.2, 10.0)
_log = logging.getLogger("buildnet.node")


class OpenLedger(Protocol):
    """The ledger of the cluster that the node is in;
    :class:`~buildnet.ledger.service.cluster_ledger.ClusterLedger` is one."""

    @property
    def store(self) -> LedgerStore:
        """What is recorded so far."""

    @property
    def key(self) -> bytes:
        """The public key that signs what this node records."""

    async def append(self, drafts: Sequence[EntryDraft]) -> tuple[Entry, ...]:
        """Record something."""

    async def sealed(self, entry: Entry, timeout_s: float) -> int:
        """Wait until an entry is sealed."""


class Ledger(Protocol):
    """A node's ledger; :class:`~buildnet.ledger.service.service.LedgerService` is one."""

    async def current(self) -> OpenLedger:
        """Return the one of the cluster that the node is in."""


class Record(Protocol):
    """Something that happened."""

    async def drafts(self, ledger: OpenLedger) -> Sequence[EntryDraft]:
        """Return what to write of it, in view of what is written already; maybe nothing."""


class Recording:
    """Takes records with :meth:`put` and writes them while :meth:`running`."""

    def __init__(self, ledger: Ledger, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = ledger
        self._clock = clock
        self._waiting: deque[Record] = deque()
        self._something = asyncio.Event()
        self._nothing = asyncio.Event()
        self._nothing.set()
        self._last: Entry | None = None
        self.lost = 0
        """Records that never will be written."""
        self.failure: str | None = None
        """Why the first one that waits could not be written; None: it was not tried in vain."""

    @property
    def waiting(self) -> int:
        """How many records are not written yet."""
        return len(self._waiting)

    @property
    def problem(self) -> str | None:
        """Say in words what is not recorded; None: everything is, or is about to be."""
        said = []
        if self.failure is not None and self._waiting:
            said.append(f"{_count(self.waiting)} of this node wait for the ledger: {self.failure}")
        if self.lost:
            said.append(f"{_count(self.lost)} of this node are missing in the ledger: see its log")
        return "; ".join(said) or None

    def put(self, record: Record) -> None:
        """Take something that happened; returns at once and never fails."""
        if len(self._waiting) >= MAX_WAITING:
            self._lose(record, "too many records wait")
            return
        self._waiting.append(record)
        self._nothing.clear()
        self._something.set()

    @asynccontextmanager
    async def running(self, farewell: Callable[[], Record]) -> AsyncIterator[None]:
        """Write until the context ends; then ``farewell`` and what waits, if that goes quickly."""
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(self._run())
            try:
                yield
            finally:
                self.put(farewell())
                with suppress(TimeoutError):
                    async with asyncio.timeout(STOP_S):
                        await self._nothing.wait()
                if self._waiting:
                    _log.warning(
                        "the ledger does not tell of %d records of this node's last moments: %s",
                        len(self._waiting),
                        self.failure or "they could not be written in time",
                    )
                else:
                    await self._hand_over()
                writing.cancel()

    async def _hand_over(self) -> None:
        """Wait a moment until a majority has what was written last."""
        if self._last is None:
            return
        with suppress(BuildNetError, TimeoutError):
            async with asyncio.timeout(SEALED_S):
                ledger = await self._ledger.current()
                await ledger.sealed(self._last, SEALED_S)

    async def _run(self) -> None:
        wait_s = _AGAIN_S[0]
        while True:
            await self._something.wait()
            record = self._waiting[0]
            try:
                await self._write(record)
            except DraftError as error:
                self._lose(record, f"{error.message}: {error.cause}")
            except BuildNetError as error:
                if self.failure is None:
                    _log.warning("%s can't be recorded yet: %s", _name(record), error.message)
                self.failure = error.message
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, _AGAIN_S[1])
                continue
            except Exception as error:
                _log.exception("a bug while recording %s", _name(record))
                self._lose(record, in_one_line(error))
            if self.failure is not None:
                _log.info("the ledger takes records again")
            self.failure, wait_s = None, _AGAIN_S[0]
            self._waiting.popleft()
            if not self._waiting:
                self._something.clear()
                self._nothing.set()

    async def _write(self, record: Record) -> None:
        ledger = await self._ledger.current()
        drafts = await record.drafts(ledger)
        if drafts:
            self._last = (await ledger.append(drafts))[-1]

    def _lose(self, record: Record, why: str) -> None:
        if not self.lost or self.lost & (self.lost + 1) == 0:  # ever more seldom
            _log.error("%s will not be recorded in the ledger: %s", _name(record), why)
        self.lost += 1


def _name(record: Record) -> str:
    return type(record).__name__


def _count(number: int) -> str:
    return f"{number} record" if number == 1 else f"{number} records"
