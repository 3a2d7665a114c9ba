"""What may go wrong with the ledger's file, in words that name it and the remedy."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from buildnet.mesh.errors import BuildNetError

# SQLite's shared memory grows by 32 KiB at once; with less than that free a volume is full to it.
_ROOM_BYTES = 64 * 1024


class LedgerError(BuildNetError):
    """The ledger's file can't be opened, read or written. What is recorded is unharmed.

    - :class:`LedgerFullError`: no room
    - :class:`LedgerDamagedError`: it is not what was written
    - :class:`PrunedError`: what is asked for was pruned
    """

    code = "LEDGER"
    exit_code = 2
    http_status = 503


class LedgerFullError(LedgerError):
    """The volume has no room left: nothing is appended until there is some."""

    code = "LEDGER_FULL"
    exit_code = 5
    http_status = 507


class LedgerDamagedError(LedgerError):
    """Something in the file is not what was written; it is not served."""

    code = "LEDGER_DAMAGED"


class PrunedError(LedgerError):
    """Only the hash of an entry was kept."""

    code = "LEDGER_PRUNED"
    http_status = 410


def damaged(path: Path, cause: str) -> LedgerDamagedError:
    """Return the error of a file that can't be trusted as a whole."""
    return LedgerDamagedError(
        f"the ledger {path} is damaged",
        cause=cause,
        hint="buildnet ledger verify tells where. If the node does not start: stop it, move the "
        f"file and what begins with {path.name}- away and start it: it fetches the ledger from "
        "its peers; a node without peers needs a backup",
    )


@contextmanager
def errors_of(path: Path) -> Iterator[None]:
    """Say SQLite's errors in words."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise  # a mistake in this program, such as using a closed store
    except (sqlite3.Error, UnicodeDecodeError) as error:
        # The low byte is the primary result code, the rest refines it.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        raise _in_words(path, code, error) from error


def _in_words(path: Path, code: int, error: Exception) -> LedgerError:
    cause = str(error)
    # Where a write-ahead log or its shared memory finds no room, SQLite tells an input/output
    # error, or that it can't open the file.
    full = code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN) and _has_no_room(path.parent)
    if code == sqlite3.SQLITE_FULL or full:
        return LedgerFullError(
            f"no room left for the ledger {path}",
            cause=cause,
            hint=f"free room on the volume of {path.parent}; what is recorded is unharmed, and "
            "the node goes on by itself",
        )
    if code == sqlite3.SQLITE_IOERR:
        return LedgerError(
            f"reading or writing the ledger {path} failed",
            cause=cause,
            hint="free room if the volume is full or your quota used up, else look at its health "
            "(system log); nothing was deleted",
        )
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return LedgerError(
            f"the ledger {path} can't be written",
            cause=cause,
            hint=f"give this user the right to write in {path.parent}, mount the volume writable, "
            "or set BUILDNET_HOME",
        )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return LedgerError(
            f"the ledger {path} is in use by another process",
            cause=cause,
            hint="end the program that has it open, and try again",
        )
    return damaged(path, cause)


def _has_no_room(directory: Path) -> bool:
    try:
        found = os.statvfs(directory)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < _ROOM_BYTES
