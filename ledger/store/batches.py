"""What waits for the writing thread, as one transaction that is fsynced once."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from buildnet.ledger.store import sealing
from buildnet.ledger.store.database import connect
from buildnet.ledger.store.errors import LedgerDamagedError, LedgerError, errors_of
from buildnet.ledger.store.writer import Writer


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of work that the store was given: its ``value``, or why it was not done."""

    value: Any = None
    error: BaseException | None = None

    def tell(self, waiting: asyncio.Future[Any]) -> None:
        """Tell who waits, if anybody still does."""
        if waiting.done():
            return
        if self.error is not None:
            waiting.set_exception(self.error)
        else:
            waiting.set_result(self.value)


def run_together(writer: Writer, works: Sequence[Callable[[Writer], Any]]) -> list[Outcome]:
    """Run all of ``works`` in one transaction. One that raises is undone, the others go on.

    Raises:
        LedgerError: nothing was written.
    """
    connection = writer.connection
    try:
        with errors_of(writer.path):
            connection.execute("BEGIN IMMEDIATE")
            outcomes = [_run_one(writer, work) for work in works]
            connection.execute("COMMIT")
    except BaseException as error:
        _recover(writer, error)
        raise
    return outcomes


def _run_one(writer: Writer, work: Callable[[Writer], Any]) -> Outcome:
    connection = writer.connection
    connection.execute("SAVEPOINT one")
    try:
        value = work(writer)
        writer.fold.flush()
        if writer.wrong_tables:  # what was made of a damaged row may be wrong, too
            writer.wrong_tables.clear()
            with contextlib.suppress(LedgerDamagedError):  # verify tells what keeps it from that
                sealing.rebuild(writer)
    except sqlite3.Error as error:
        if not isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):
            raise  # of the file: the whole transaction fails
        failed: BaseException = error
    except Exception as error:
        failed = error
    else:
        connection.execute("RELEASE one")
        return Outcome(value)
    connection.execute("ROLLBACK TO one")
    connection.execute("RELEASE one")
    writer.forget()
    sealing.begin(writer)
    return Outcome(error=failed)


def _recover(writer: Writer, error: BaseException) -> None:
    """Leave no transaction open. After an input or output error nothing that SQLite holds in
    memory is trusted: the file is opened again."""
    with contextlib.suppress(sqlite3.Error):
        if writer.connection.in_transaction:
            writer.connection.execute("ROLLBACK")
    cause = error.__cause__
    if isinstance(cause, sqlite3.Error) and not isinstance(error, sqlite3.ProgrammingError):
        with contextlib.suppress(LedgerError):
            fresh = connect(writer.path)
            writer.connection.close()
            writer.reopen(fresh)
    writer.forget()
    with contextlib.suppress(LedgerError, sqlite3.Error):
        sealing.begin(writer)
