"""Whether the file is the one that this node wrote last: a copy from earlier must not go on with
its chain, since sequences that were used after the copy would be used twice.

Beside the ledger lies a small file, the fence. Both hold a random token, new at every start; the
fence also the file's inode and, after an orderly stop, how far the node's chains reached. The rule
at a start:

- the tokens differ, and the fence has one: the ledger is a copy from an earlier run, or the fence
  is; **restored**.
- the same token after an orderly stop, but other heads: **restored**, too.
- the same token after a crash, but another inode: the file was put in place of the one that the
  node wrote; **restored**.
- the ledger was made by a backup of this store (it says so itself): **restored**.
- no fence, and the ledger has entries: it was brought here alone; **restored**.

A start writes the token that comes next into the fence, then into the ledger, then tells the fence
that it is there: whoever is killed in between is found as before, and takes nothing for restored.

A restored ledger goes on with another incarnation; until it was begun, each start finds it
restored. Its voter abstains until that is safe (:mod:`buildnet.ledger.sealing.abstaining`): what
it promised and accepted after the copy was made is not in it. A copy of both files that passes all
this (a volume set back as a whole) is what the second rule of the design is for: a head that no
peer confirms begins another incarnation, too, and if a peer holds a later one, the voter abstains.
"""

from __future__ import annotations

import os
import sqlite3
from enum import StrEnum
from pathlib import Path

from blake3 import blake3

from buildnet.ledger.store.database import read_setting, write_setting
from buildnet.ledger.store.disk import sync
from buildnet.ledger.store.errors import LedgerDamagedError, LedgerError

_TOKEN = "boot"
_BACKUP = "backup"
_RUNNING = "running"
_NONE = "-"
_ABSTAINS = "abstains"


class Start(StrEnum):
    """What the file is at a start."""

    FRESH = "fresh"
    CONTINUED = "continued"
    RESTORED = "restored"


class Fence:
    """The file beside the ledger at ``ledger``."""

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self.path = ledger.with_name(ledger.name + ".fence")

    def begin(self, connection: sqlite3.Connection) -> Start:
        """Tell what the ledger is, and begin another run.

        Raises:
            LedgerError: the fence can't be written.
        """
        found = self._judge(connection)
        token = os.urandom(16)
        if found is not Start.RESTORED:
            self._announce(token)
        connection.execute("BEGIN IMMEDIATE")
        try:
            write_setting(connection, _TOKEN, token)
            connection.execute("DELETE FROM settings WHERE name=?", (_BACKUP,))
            if found is Start.RESTORED:
                write_setting(connection, "restored", token)
                write_setting(connection, _ABSTAINS, b"yes")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self._write(token, _RUNNING)
        return found

    def end(self, connection: sqlite3.Connection) -> None:
        """Note an orderly stop."""
        token = read_setting(connection, self._ledger, _TOKEN) or b""
        self._write(token, _heads(connection))

    def _judge(self, connection: sqlite3.Connection) -> Start:
        try:
            token = read_setting(connection, self._ledger, _TOKEN)
        except LedgerDamagedError:
            token = None
        waiting = read_setting(connection, self._ledger, "restored") is not None
        backup = read_setting(connection, self._ledger, _BACKUP) is not None
        fence = self._read()
        empty = connection.execute("SELECT 1 FROM entries LIMIT 1").fetchone() is None
        if fence is None:
            return Start.FRESH if empty and not backup else Start.RESTORED
        kept, inode, state, following = fence
        if token is None and kept == _NONE and empty and not backup:
            return Start.FRESH  # killed before its first token was in the ledger
        if waiting or backup or token is None or token.hex() not in (kept, following):
            return Start.RESTORED
        if token.hex() == following:  # killed before it did anything with it
            state = _RUNNING
        same = state == _heads(connection) if state != _RUNNING else inode == self._inode()
        return Start.CONTINUED if same else Start.RESTORED

    def _inode(self) -> str:
        return str(self._ledger.stat().st_ino)

    def _announce(self, token: bytes) -> None:
        kept, _, state, _ = self._read() or (_NONE, "", _RUNNING, "")
        self._put([kept, self._inode(), state, token.hex()])

    def _read(self) -> tuple[str, str, str, str] | None:
        """Return token, inode, state and the token that comes next; None: there is no fence."""
        try:
            text = self.path.read_text("ascii")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError):
            return ("", "", "", "")
        *lines, mark = text.split() or [""]
        if len(lines) not in (3, 4) or _mark(lines) != mark:
            return ("", "", "", "")  # fits no ledger: another incarnation is always safe
        return (lines[0], lines[1], lines[2], lines[3] if len(lines) == 4 else _NONE)

    def _write(self, token: bytes, state: str) -> None:
        self._put([token.hex(), self._inode(), state, _NONE])

    def _put(self, lines: list[str]) -> None:
        fresh = self.path.with_name(self.path.name + ".new")
        try:
            fresh.touch(0o600)
            with fresh.open("w", encoding="ascii") as file:
                file.write("\n".join([*lines, _mark(lines)]) + "\n")
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.path)
            sync(self.path.parent)
        except OSError as error:
            raise LedgerError(
                f"{self.path} can't be written",
                cause=str(error),
                hint="free room, and give this user the right to write there",
            ) from error


def mark_backup(connection: sqlite3.Connection) -> None:
    """Note in a copy that it is one."""
    write_setting(connection, _BACKUP, b"copy")


def _heads(connection: sqlite3.Connection) -> str:
    hasher = blake3()
    for number, sequence in connection.execute(
        "SELECT number, (SELECT max(sequence) FROM entries WHERE chain=number) FROM chains "
        "ORDER BY number"
    ):
        hasher.update(f"{number}:{sequence} ".encode())
    return hasher.hexdigest()


def _mark(lines: list[str]) -> str:
    return blake3(" ".join(lines).encode()).hexdigest(length=8)
