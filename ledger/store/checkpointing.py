"""Moves what the write-ahead log holds to its place in the file, beside the writing thread.

SQLite does it in the commit after which the log is long: some 2000 pages and two fsyncs, for which
everybody waits who appends or seals. Here another connection does it, while commits go on, and the
writing one does it no more. The log begins anew with a transaction that finds nothing left to move;
where commits follow each other so closely that none does, the next one waits until the little that
is left was moved.

SQLite before 3.51.3 loses commits where a checkpoint begins with nothing left to move, and
meanwhile another connection begins the log anew ("the WAL-reset bug", see
https://sqlite.org/wal.html). So one connection only makes checkpoints, and none of them begins so:
either something was committed since the one before ended, or nobody writes until it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from buildnet.ledger.store.database import CHECKPOINT_PAGES, connect
from buildnet.ledger.store.errors import LedgerError

TRANSACTIONS = 64
"""So many are written between two checkpoints, or"""
ROWS = 1000
"""so many rows."""
TIMES = 4
"""What is written meanwhile is moved, too, so often at most: each time less is left."""
_log = logging.getLogger("buildnet.ledger")


def leave_to_another(connection: sqlite3.Connection) -> None:
    """Let no commit of a writing connection make a checkpoint."""
    connection.execute("PRAGMA wal_autocheckpoint=0")


class Checkpoints:
    """The checkpoints of one open file. To be used from one event loop."""

    def __init__(self, path: Path) -> None:
        self.writing = threading.Lock()
        """To be held by whoever writes, for a whole transaction."""
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, "ledger-checkpoint")
        self._connection: sqlite3.Connection | None = None
        self._running: asyncio.Future[None] | None = None
        self._transactions = 0
        self._rows = 0
        self._seen = 0
        """What :meth:`_version` was after the last checkpoint."""

    def wrote(self, rows: int) -> None:
        """Take note of a transaction that changed so many rows; returns at once."""
        self._transactions += 1
        self._rows += rows
        is_due = self._transactions >= TRANSACTIONS or self._rows >= ROWS
        if is_due and (self._running is None or self._running.done()):
            self._transactions = self._rows = 0
            self._running = self._loop.run_in_executor(self._thread, self._run)

    async def close(self) -> None:
        """Wait for one that is made, and close the connection."""
        await self._loop.run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def _run(self) -> None:
        try:
            if self._connection is None:
                with self.writing:
                    self._connection = connect(self._path)
                    self._move(self._connection)
            else:
                self._move_beside_commits(self._connection)
        except (LedgerError, sqlite3.Error) as error:  # nothing is lost, and it is tried again
            _log.warning("the write-ahead log of %s grows: %s", self._path.name, error)
            self._close()

    def _move_beside_commits(self, connection: sqlite3.Connection) -> None:
        for _ in range(TIMES):
            if self._version(connection) == self._seen:
                return
            is_all, pages = self._move(connection)
        if is_all and pages >= CHECKPOINT_PAGES:
            with self.writing:
                self._move(connection)

    def _move(self, connection: sqlite3.Connection) -> tuple[bool, int]:
        """Return whether all was moved that was there at the beginning (it is not, where somebody
        reads an older state), and how many pages the log had then."""
        _, written, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        self._seen = self._version(connection)
        return moved >= written, written

    def _version(self, connection: sqlite3.Connection) -> int:
        """Return a number that is another one once something more was committed."""
        return int(connection.execute("PRAGMA data_version").fetchone()[0])

    def _close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None
