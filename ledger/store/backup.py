"""Copies of the ledger while it runs, and putting one back.

A copy says of itself that it is one, so whoever opens it begins another incarnation of its chain;
see :mod:`~buildnet.ledger.store.fence` for the whole rule, which also covers plain copies of files.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

from buildnet.ledger.store import schema
from buildnet.ledger.store.database import connect, read_setting
from buildnet.ledger.store.errors import LedgerError, damaged, errors_of
from buildnet.ledger.store.fence import mark_backup


def back_up(ledger: Path, destination: Path) -> int:
    """Write a consistent copy of ``ledger``, which may be in use, to ``destination``; return its
    size in bytes. It takes one state of the file, without free pages; encrypted rows stay so.

    Raises:
        LedgerError: there is something at ``destination``, or it can't be written.
    """
    if destination.exists():
        raise LedgerError(f"{destination} exists", hint="name a file that does not")
    unfinished = destination.with_name(destination.name + ".unfinished")
    unfinished.unlink(missing_ok=True)
    try:
        with errors_of(ledger):
            source = sqlite3.connect(ledger, isolation_level=None, timeout=5.0)
            try:
                source.execute("VACUUM INTO ?", (str(unfinished),))
            finally:
                source.close()
        with errors_of(unfinished):
            copy = sqlite3.connect(unfinished, isolation_level=None)
            try:
                copy.execute("BEGIN IMMEDIATE")
                mark_backup(copy)
                copy.execute("COMMIT")
            finally:
                copy.close()
        unfinished.chmod(0o600)
        _sync(unfinished)
        unfinished.rename(destination)
        _sync(destination.parent)
    except OSError as error:
        raise LedgerError(
            f"the backup {destination} can't be written", cause=str(error), hint="free room there"
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)
    return destination.stat().st_size


def restore(backup: Path, ledger: Path, cluster: bytes) -> None:
    """Put a backup in the place of ``ledger``, whose node must not run; what was there is moved
    beside it (``.before-restore``).

    Raises:
        LedgerError: the backup is damaged or of another cluster, or can't be copied. The ledger
            is as it was.
    """
    with errors_of(backup):
        source = connect(backup, read_only=True)
        try:
            wrong = schema.objection(source)
            if wrong is not None:
                raise damaged(backup, wrong)
            for (told,) in source.execute("PRAGMA integrity_check(1)"):
                if told != "ok":
                    raise damaged(backup, str(told))
            if read_setting(source, backup, "cluster") != cluster:
                raise LedgerError(f"{backup} is of another cluster")
        finally:
            source.close()
    fresh = ledger.with_name(ledger.name + ".restoring")
    try:
        shutil.copyfile(backup, fresh)
        with errors_of(fresh):
            copy = sqlite3.connect(fresh, isolation_level=None)
            try:
                copy.execute("BEGIN IMMEDIATE")
                mark_backup(copy)
                copy.execute("COMMIT")
            finally:
                copy.close()
        fresh.chmod(0o600)
        _sync(fresh)
        for end in ("", "-wal", "-shm"):
            old = ledger.with_name(ledger.name + end)
            if old.exists():
                old.replace(ledger.with_name(f"{ledger.name}.before-restore{end}"))
        fresh.rename(ledger)
        _sync(ledger.parent)
    except OSError as error:
        raise LedgerError(
            f"the backup can't be put in the place of {ledger}",
            cause=str(error),
            hint="free room there; what was there lies beside it",
        ) from error
    finally:
        fresh.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
