"""Moves what the write-ahead log holds to its place in the file, beside the writing thread.

SQLite does it in the commit after which the log is long: some 2000 pages and two fsyncs, for which
everybody waits who appends or seals. Here another connection does it, while commits go on, and the
writing one does it no more. The log begins anew with a transaction that finds nothing left to move;
where commits follow each other so closely that none does, the next one waits until the little that
is left was moved.

SQLite before 3.51.3 loses commits where a checkpoint begins with nothing left to move, and
meanwhile another connection begins the log anew ("the WAL-reset bug", see
https://sqlite.org/wal.html). So one connection only makes checkpoints, and either nobody writes
meanwhile, or a third one reads a state of which something was not moved yet: while anybody does,
SQLite begins no log anew.
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
        self._open: tuple[sqlite3.Connection, sqlite3.Connection] | None = None
        """The one that makes checkpoints, and the one that reads meanwhile."""
        self._running: asyncio.Future[None] | None = None
        self._transactions = 0
        self._rows = 0
        self._moved = 0
        """Which version of the file was moved at most; the writing connection's next commit makes
        another one."""

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
            if self._open is not None:
                self._move_beside_commits()
                return
            with self.writing:
                self._open = (connect(self._path), connect(self._path, read_only=True))
                self._move(is_first=True)
        except (LedgerError, sqlite3.Error) as error:  # nothing is lost, and it is tried again
            _log.warning("the write-ahead log of %s grows: %s", self._path.name, error)
            self._close()

    def _move_beside_commits(self) -> None:
        pages = 0
        for _ in range(TIMES):
            if not (pages := self._move()):
                return
        if pages >= CHECKPOINT_PAGES:
            with self.writing:
                self._move()

    def _move(self, *, is_first: bool = False) -> int:
        """Move what was committed by now; return how many pages the log has. 0: nothing was
        committed since the last time. ``is_first``: it may be so; nobody writes."""
        assert self._open is not None
        moving, reading = self._open
        reading.execute("BEGIN")
        try:
            reading.execute("SELECT count(*) FROM sqlite_master").fetchone()
            (version,) = reading.execute("PRAGMA data_version").fetchone()
            if version == self._moved and not is_first:
                return 0
            _, pages, _ = moving.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            self._moved = version
            return int(pages)
        finally:
            reading.execute("COMMIT")

    def _close(self) -> None:
        for connection in self._open or ():
            with contextlib.suppress(sqlite3.Error):
                connection.close()
        self._open = None
