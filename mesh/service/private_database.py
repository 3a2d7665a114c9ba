"""Databases that nobody else on the host reads, whatever the umask and their directory's mode."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

_MODE = 0o600


def make_private(path: Path) -> None:
    """Make an empty database in WAL mode if nothing is at ``path``, and take it from everybody
    else; what SQLite makes beside it has its mode.

    Raises:
        sqlite3.Error: it can't be made.
    """
    if not path.exists():
        with suppress(OSError):  # SQLite says in its words why it can't be made
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, _MODE))
        # At once more than an empty file, which would be one that has lost what it held.
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        finally:
            connection.close()
    for end in ("", "-wal", "-shm"):
        with suppress(OSError):  # it is not there, or of another user who gave it to this one
            path.with_name(path.name + end).chmod(_MODE)
