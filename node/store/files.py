"""Which bytes a workspace's files held when they were last read, by what ``stat`` says of them.

Hashing every source before every build is the largest cost of having nothing to do. The table
keeps, for each path, ``(dev, ino, size, mtime_ns, ctime_ns, mode)`` and the digest; a file whose
``stat`` is the same has the same bytes, with one exception: **racy** entries. Time stamps are as
coarse as the kernel's clock tick or the file system, so a file that is written again within the
same tick after it was read looks unchanged. An entry whose file was changed less than one such step
before it was read is therefore kept only as history (:meth:`FileTable.previous`) and is never
trusted.

A file system whose clock runs behind this host's (a network share of a badly set server) can still
hide a change that follows a read within the difference.
"""

from __future__ import annotations

import os
import sqlite3
import struct
import threading
from collections.abc import Callable

from buildnet.mesh.digest import Digest
from buildnet.node.store.database import Database

RACY_NS = 20_000_000
"""Changes closer than this may share a time stamp: the kernel stamps files with its coarse clock,
which moves once a tick: 10 ms at the slowest usual setting (HZ=100), 4 ms at HZ=250. Two ticks."""

RACY_COARSE_NS = 2_000_000_000
"""The same for a stamp of whole seconds, the mark of a file system that keeps no fractions: 1 s on
HFS+, ext3, ext4 with small inodes and some network shares, 2 s on FAT."""

_STAT = struct.Struct("<QQQQQI")  # dev, ino, size, mtime_ns, ctime_ns, mode
_DIGEST = struct.Struct("<Q32s")  # size, BLAKE3
_UNTRUSTED = b"\xff" * _STAT.size  # no file has these numbers
_64_BITS = 0xFFFF_FFFF_FFFF_FFFF

Write = Callable[[Callable[[sqlite3.Connection], None]], None]


class FileTable:
    """The table of one workspace. Thread-safe; in memory from its first use on (84 bytes and the
    path a file), written back by :meth:`flush`.

    Paths are relative to the workspace, ``/``-separated and valid Unicode.
    """

    def __init__(self, database: Database, workspace_id: str, write: Write | None = None) -> None:
        self._database = database
        self._workspace_id = workspace_id
        self._write: Write = write or database.write
        self._lock = threading.Lock()
        self._loaded: dict[str, bytes] | None = None
        self._changed: set[str] = set()

    def lookup(self, path: str, stat: os.stat_result) -> Digest | None:
        """Return the digest of the file, or None if it is unknown, changed or racy."""
        entry = self._entries().get(path)
        if entry is None or not entry.startswith(_fingerprint(stat)):
            return None
        return _digest(entry)

    def previous(self, path: str) -> Digest | None:
        """Return the digest that was recorded last, whatever the file is now."""
        entry = self._entries().get(path)
        return None if entry is None else _digest(entry)

    def record(self, path: str, stat: os.stat_result, digest: Digest, observed_at_ns: int) -> None:
        """Remember that the file held ``digest``.

        Args:
            stat: taken before the bytes were read, or of the open file that was read or written.
            observed_at_ns: ``time.time_ns()`` from before the bytes were read.

        Raises:
            UnicodeEncodeError: the path is not valid Unicode.
        """
        if not path.isascii():
            path.encode()
        trusted = digest.size_bytes == stat.st_size and is_settled(stat, observed_at_ns)
        entry = _fingerprint(stat) if trusted else _UNTRUSTED
        entry += _DIGEST.pack(digest.size_bytes, bytes.fromhex(digest.hash))
        entries = self._entries()
        if entries.get(path) != entry:
            with self._lock:
                entries[path] = entry
                self._changed.add(path)

    def forget(self, path: str) -> None:
        """Drop what is known of a path, if anything is."""
        entries = self._entries()
        with self._lock:
            if entries.pop(path, None) is not None:
                self._changed.add(path)

    def flush(self) -> None:
        """Write the rows that changed, in one transaction.

        Raises:
            StoreFullError: the volume is full; the rows stay in memory for the next flush.
        """
        entries = self._loaded
        if entries is None:
            return
        with self._lock:
            changed, self._changed = self._changed, set()
            rows = {path: entries[path] for path in changed if path in entries}
        if not changed:
            return
        try:
            self._write(lambda connection: self._store(connection, rows, changed - rows.keys()))
        except BaseException:
            with self._lock:
                self._changed |= changed
            raise

    def _store(
        self, connection: sqlite3.Connection, rows: dict[str, bytes], gone: set[str]
    ) -> None:
        name = (self._workspace_id,)
        connection.execute("INSERT OR IGNORE INTO workspaces (name) VALUES (?)", name)
        (key,) = connection.execute("SELECT id FROM workspaces WHERE name = ?", name).fetchone()
        connection.executemany(
            "INSERT OR REPLACE INTO files VALUES (?, ?, ?)",
            ((key, path, entry) for path, entry in rows.items()),
        )
        connection.executemany(
            "DELETE FROM files WHERE workspace = ? AND path = ?", ((key, path) for path in gone)
        )

    def _entries(self) -> dict[str, bytes]:
        entries = self._loaded
        if entries is None:
            with self._lock:
                if self._loaded is None:
                    self._loaded = dict(
                        self._database.rows(
                            "SELECT path, entry FROM files WHERE workspace ="
                            " (SELECT id FROM workspaces WHERE name = ?)",
                            (self._workspace_id,),
                        )
                    )
                entries = self._loaded
        return entries


def _fingerprint(stat: os.stat_result) -> bytes:
    return _STAT.pack(
        stat.st_dev & _64_BITS,
        stat.st_ino & _64_BITS,
        stat.st_size,
        stat.st_mtime_ns & _64_BITS,  # stamps before 1970 and beyond 2262 exist
        stat.st_ctime_ns & _64_BITS,
        stat.st_mode,
    )


def _digest(entry: bytes) -> Digest:
    size_bytes, raw = _DIGEST.unpack_from(entry, _STAT.size)
    return Digest(raw.hex(), size_bytes)


def is_settled(stat: os.stat_result, observed_at_ns: int) -> bool:
    """Whether a change after the observation must have got another time than these."""
    return settled(stat.st_mtime_ns, observed_at_ns) and settled(stat.st_ctime_ns, observed_at_ns)


def settled(stamp_ns: int, observed_at_ns: int) -> bool:
    """Whether a change after the observation must have got another stamp than ``stamp_ns``."""
    step_ns = RACY_NS if stamp_ns % 1_000_000_000 else RACY_COARSE_NS
    return observed_at_ns - stamp_ns >= step_ns
