"""Moves what the write-ahead log holds to its place in the file, beside the writing thread.

SQLite does it in the commit after which the log is long: some 2000 pages and two fsyncs, for which
everybody waits who appends or seals. Here another connection does it, while commits go on. The log
begins anew with a transaction that finds nothing left to move; where commits follow each other so
closely that none does, the writing thread moves the little that is left once the log is twice as
long.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from buildnet.ledger.store.database import connect
from buildnet.ledger.store.errors import LedgerError

TRANSACTIONS = 64
"""So many are written between two checkpoints."""
TIMES = 4
"""What is written meanwhile is moved, too, so often at most: each time less is left."""


class Checkpoints:
    """The checkpoints of one open file. To be used from one event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, "ledger-checkpoint")
        self._connection: sqlite3.Connection | None = None
        self._running: asyncio.Future[None] | None = None
        self._count = 0

    def wrote(self) -> None:
        """Take note of a transaction; returns at once."""
        self._count += 1
        if self._count >= TRANSACTIONS and (self._running is None or self._running.done()):
            self._count = 0
            self._running = self._loop.run_in_executor(self._thread, self._run)

    async def close(self) -> None:
        """Wait for one that is made, and close the connection."""
        await self._loop.run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def _run(self) -> None:
        # Where it fails, the log grows until the writing thread does it; that tells what is wrong.
        with contextlib.suppress(LedgerError, sqlite3.Error):
            if self._connection is None:
                self._connection = connect(self._path)
            for _ in range(TIMES):
                _, written, moved = self._connection.execute(
                    "PRAGMA wal_checkpoint(PASSIVE)"
                ).fetchone()
                if moved >= written:
                    return

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
