"""Copies of the ledger while it runs, and putting one back.

A copy says of itself that it is one, so whoever opens it begins another incarnation of its chain;
see :mod:`~buildnet.ledger.store.fence` for the whole rule, which also covers plain copies of files.
"""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from buildnet.ledger.store import schema, sealing
from buildnet.ledger.store.database import connect, prepare, read_setting
from buildnet.ledger.store.disk import begin_private, sync
from buildnet.ledger.store.errors import LedgerDamagedError, LedgerError, damaged, errors_of
from buildnet.ledger.store.fence import mark_backup
from buildnet.ledger.store.upgrading import upgrade
from buildnet.ledger.store.vault import Vault, VaultError
from buildnet.ledger.store.verifying import Report, Trust, Verification
from buildnet.ledger.store.writer import Writer

CLUSTER_BYTES = 32
_OPCODES = 20_000
"""SQLite's steps between two looks at how far it is, and whether to go on."""
_ROOM = 1.1
"""How much more than the copy must be free before it begins."""


class BackupError(LedgerError):
    """A backup can't be written, or is not one; what was there before is as it was."""

    code = "LEDGER_BACKUP"
    http_status = 409


@dataclass(frozen=True, slots=True)
class Step:
    """How far a copy is. ``done`` of ``total``: bytes while it is copied, entries (``total`` not
    known: 0) while it is checked."""

    name: Literal["copying", "checking"]
    done: int
    total: int = 0


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was read again after it was written, and is right."""

    cluster: bytes
    bytes: int
    entries: int
    seals: int
    encrypted: bool


def back_up(
    ledger: Path,
    destination: Path,
    vault: Vault,
    trust: Trust,
    *,
    tell: Callable[[Step], None] = lambda _: None,
    ended: threading.Event | None = None,
) -> Backup:
    """Write a consistent copy of ``ledger``, which may be in use, to ``destination``, and check it.
    It takes one state of the file, without free pages; encrypted rows stay so. Once ``ended`` is
    set nothing is left of it.

    Raises:
        BackupError: there is something at ``destination``, or it can't be written.
        LedgerError: the ledger can't be read, or is damaged.
    """
    if destination.exists() or destination.is_symlink():
        raise BackupError(f"{destination} exists", hint="name a file that does not")
    unfinished = destination.with_name(destination.name + ".unfinished")
    try:
        size = _size_of(ledger)
        _require_room(size, destination.parent)
        begin_private(unfinished)
        _copy(ledger, unfinished, size, tell, ended)
        _mark(unfinished)
        sync(unfinished)
        found = check(unfinished, vault, trust, tell=tell, ended=ended)
        # What came there meanwhile is nobody's to replace; not every volume has hard links.
        destination.touch(0o600, exist_ok=False)
        unfinished.replace(destination)
        sync(destination.parent)
    except FileExistsError as error:
        raise BackupError(f"{destination} exists", hint="name a file that does not") from error
    except OSError as error:
        raise BackupError(
            f"the backup {destination} can't be written",
            cause=error.strerror or str(error),
            hint="name a directory that is there, where this user may write and with enough room",
        ) from error
    finally:
        for end in ("", "-wal", "-shm", "-journal"):
            unfinished.with_name(unfinished.name + end).unlink(missing_ok=True)
    return found


def check(
    backup: Path,
    vault: Vault,
    trust: Trust,
    *,
    name: Path | None = None,
    tell: Callable[[Step], None] = lambda _: None,
    ended: threading.Event | None = None,
) -> Backup:
    """Read all of a backup: structure, chains, signatures, seals, tables. ``name``: the file that
    it is called by in errors, where it is a copy of that.

    Raises:
        LedgerError: something in it is not what was written, or it needs another key.
    """
    cluster, called = cluster_of(backup), name or backup
    with errors_of(called):
        connection = connect(backup, read_only=True)
        try:
            mark = read_setting(connection, backup, "vault")
        finally:
            connection.close()
        if mark != vault.mark:
            raise VaultError(
                f"{called} was written with another key"
                if mark
                else f"{called} is not encrypted, and this node's ledger is to be",
                hint="give the key that it was written with: ledger.encryption in node.yaml"
                if mark
                else "take ledger.encryption out of node.yaml, restore, and switch it on again",
            )
        check = Verification(backup, cluster, vault, trust)
        for at in check.steps():
            tell(Step("checking", at.entries))
            _go_on(ended)
    report = check.report
    if not report.verified:
        raise damaged_backup(called, report)
    return Backup(
        cluster, backup.stat().st_size, report.entries_checked, report.seals_checked, bool(mark)
    )


def damaged_backup(path: Path, report: Report) -> BackupError:
    """Return the error of a backup, or of a ledger to be backed up, that is not right."""
    first = report.errors[0]
    more = f", and {len(report.errors) - 1} more" if len(report.errors) > 1 else ""
    return BackupError(
        f"{path} is damaged",
        cause=f"{first.where}: {first.what}{more}",
        hint="buildnet ledger verify --repair on a running node mends its ledger; of a damaged "
        "backup use an older one, or let the node fetch everything from its peers",
    )


def cluster_of(ledger: Path) -> bytes:
    """Return the id of the cluster that a ledger or backup is of.

    Raises:
        LedgerError: it is none.
    """
    if not ledger.is_file():
        raise BackupError(f"{ledger} is no file", hint="name what buildnet ledger backup wrote")
    with errors_of(ledger):
        connection = connect(ledger, read_only=True)
        try:
            version = schema.version_of(connection)
            if version > schema.SCHEMA_VERSION:
                raise BackupError(
                    f"{ledger} was written by a newer BuildNet (schema {version})",
                    hint="update BuildNet on this host first",
                )
            if (wrong := schema.refusal(connection)) is not None:
                raise damaged(ledger, wrong)
            cluster = read_setting(connection, ledger, "cluster")
        finally:
            connection.close()
    if cluster is None or len(cluster) != CLUSTER_BYTES:
        raise damaged(ledger, "it does not tell its cluster")
    return cluster


def restore(
    backup: Path,
    ledger: Path,
    vault: Vault,
    trust: Trust,
    *,
    tell: Callable[[Step], None] = lambda _: None,
) -> tuple[Backup, Path | None]:
    """Put a backup in the place of ``ledger``, whose node must not run; return what it holds, and
    where what was there before lies now (None: nothing was).

    The next start finds by the mark in the file that it was restored: it begins another incarnation
    of its chain before anything is appended, and abstains as a voter until that is safe.

    Raises:
        LedgerError: the backup is damaged, of another key, or can't be copied. The ledger is as it
            was.
    """
    fresh = ledger.with_name(ledger.name + ".restoring")
    try:
        size = backup.stat().st_size
        _require_room(size, ledger.parent)
        tell(Step("copying", 0, size))
        cluster = cluster_of(backup)
        begin_private(fresh)
        shutil.copyfile(backup, fresh)
        _mark(fresh)
        version = _bring_up_to_date(fresh, cluster, vault)
        found = check(fresh, vault, trust, name=backup, tell=tell)
        _say_version(fresh, version)
        sync(fresh)
        aside = _aside(ledger)
        kept = False
        # The file first: without its log it would be an older one that says of itself it is not.
        for end in ("", "-wal", "-shm"):
            old = ledger.with_name(ledger.name + end)
            if old.exists():
                old.replace(aside.with_name(aside.name + end))
                sync(ledger.parent)
                kept = True
        fresh.rename(ledger)
        sync(ledger.parent)
    except LedgerDamagedError as error:
        raise BackupError(
            f"{backup} is damaged",
            cause=error.cause,
            hint="use an older backup, or let the node fetch everything from its peers",
        ) from error
    except OSError as error:
        raise BackupError(
            f"the backup can't be put in the place of {ledger}",
            cause=error.strerror or str(error),
            hint="free room there, and see that this user may write there; nothing was deleted",
        ) from error
    finally:
        for end in ("", "-wal", "-shm", "-journal"):
            fresh.with_name(fresh.name + end).unlink(missing_ok=True)
    return found, aside if kept else None


def _aside(ledger: Path) -> Path:
    number = 1
    while True:
        path = ledger.with_name(f"{ledger.name}.before-restore-{number}")
        if not any(path.with_name(path.name + end).exists() for end in ("", "-wal", "-shm")):
            return path
        number += 1


def _copy(
    ledger: Path,
    copy: Path,
    size: int,
    tell: Callable[[Step], None],
    ended: threading.Event | None,
) -> None:
    def look() -> int:
        tell(Step("copying", min(size, copy.stat().st_size if copy.exists() else 0), size))
        return int(ended is not None and ended.is_set())

    with errors_of(ledger):
        source = sqlite3.connect(ledger, isolation_level=None, timeout=5.0)
        try:
            source.set_progress_handler(look, _OPCODES)
            source.execute("VACUUM INTO ?", (str(copy),))
        except sqlite3.OperationalError:
            _go_on(ended)
            raise
        finally:
            source.close()


def _mark(copy: Path) -> None:
    with errors_of(copy):
        connection = sqlite3.connect(copy, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            mark_backup(connection)
            connection.execute("COMMIT")
        finally:
            connection.close()


def _bring_up_to_date(copy: Path, cluster: bytes, vault: Vault) -> int:
    """Give a copy that an older version wrote the form of this one, so that it can be checked;
    return the version that it had."""
    with errors_of(copy):
        connection = connect(copy, read_only=True)
        try:
            version, is_ours = schema.version_of(connection), schema.objection(connection) is None
        finally:
            connection.close()
    if is_ours:
        return version
    connection = prepare(copy, cluster, vault)
    try:
        with errors_of(copy):
            writer = Writer(connection, copy, cluster, vault)
            sealing.begin(writer)
            upgrade(writer)
    finally:
        connection.close()
    return version


def _say_version(copy: Path, version: int) -> None:
    """Let a copy be of an older version again: its derived tables were made without the member
    list, so the node makes them once more when it starts."""
    with errors_of(copy):
        connection = sqlite3.connect(copy, isolation_level=None)
        try:
            if schema.version_of(connection) != version:
                connection.execute(f"PRAGMA user_version={version}")
        finally:
            connection.close()


def _go_on(ended: threading.Event | None) -> None:
    if ended is not None and ended.is_set():
        raise BackupError("the backup was broken off")


def _size_of(ledger: Path) -> int:
    """Return the bytes of a ledger, with what is in its log only."""
    with errors_of(ledger):
        connection = connect(ledger, read_only=True)
        try:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
        finally:
            connection.close()
    return int(pages * page_bytes)


def _require_room(size: int, directory: Path) -> None:
    """Check that there is room for a copy of so many bytes.

    Raises:
        BackupError: there is not.
        OSError: the directory can't be looked at.
    """
    free = shutil.disk_usage(directory).free
    if free < size * _ROOM:
        raise BackupError(
            f"no room in {directory} for a copy of {size} bytes",
            cause=f"{free} bytes are free there",
            hint="free room, or name a file on another volume",
        )
