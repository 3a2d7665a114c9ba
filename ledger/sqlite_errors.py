"""What may go wrong with a file of SQLite, in words that name the file and the remedy."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from buildnet.mesh.errors import BuildNetError

# SQLite's shared memory grows by 32 KiB at once; with less than that free a volume is full to it.
_ROOM_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class SqliteErrors:
    """How one kind of file tells of its errors. ``what``: its name, such as "the ledger";
    ``failed``, ``full``: which errors to raise; ``unharmed``: what to say of it on a full volume;
    ``damaged``: the error of a file that can't be trusted, by its path and SQLite's words."""

    what: str
    failed: type[BuildNetError]
    full: type[BuildNetError]
    unharmed: str
    damaged: Callable[[Path, str], BuildNetError]

    @contextmanager
    def of(self, path: Path) -> Iterator[None]:
        """Say SQLite's errors within in words."""
        try:
            yield
        except sqlite3.ProgrammingError:
            raise  # a mistake in this program, such as using a closed file
        except (sqlite3.Error, UnicodeDecodeError) as error:
            # The low byte is the primary result code, the rest refines it.
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
            raise self._in_words(path, code, str(error)) from error

    def _in_words(self, path: Path, code: int, cause: str) -> BuildNetError:
        named = f"{self.what} {path}"
        # Where a write-ahead log or its shared memory finds no room, SQLite tells an input/output
        # error, or that it can't open the file.
        full = code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN) and _has_no_room(path.parent)
        if code == sqlite3.SQLITE_FULL or full:
            return self.full(
                f"no room left for {named}",
                cause=cause,
                hint=f"free room on the volume of {path.parent}; {self.unharmed}",
            )
        if code == sqlite3.SQLITE_IOERR:
            return self.failed(
                f"reading or writing {named} failed",
                cause=cause,
                hint="free room if the volume is full or your quota used up, else look at its "
                "health (system log); nothing was deleted",
            )
        if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
            return self.failed(
                f"{named} can't be written",
                cause=cause,
                hint=f"give this user the right to write in {path.parent}, mount the volume "
                "writable, or set BUILDNET_HOME",
            )
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return self.failed(
                f"{named} is in use by another process",
                cause=cause,
                hint="end the program that has it open, and try again",
            )
        return self.damaged(path, cause)


def _has_no_room(directory: Path) -> bool:
    try:
        found = os.statvfs(directory)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < _ROOM_BYTES
