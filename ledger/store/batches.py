"""What waits for the writing thread, as one transaction that is fsynced once."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from buildnet.ledger.entry import Entry
from buildnet.ledger.store import sealing
from buildnet.ledger.store.database import connect
from buildnet.ledger.store.errors import LedgerDamagedError, LedgerError, errors_of
from buildnet.ledger.store.writer import Append, Writer


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


Work = Append | Callable[[Writer], Any]
"""What the writing thread is given to do. It may be done a second time, after all of it was undone:
nothing but the writer's connection is changed by it."""


def run_together(
    writer: Writer, works: Sequence[Work], sign: Callable[[bytes], bytes]
) -> list[Outcome]:
    """Do all of ``works`` in one transaction. One that raises is undone, the others go on.
    ``sign``: the node's key.

    Raises:
        LedgerError: nothing was written.
    """
    connection = writer.connection
    try:
        with errors_of(writer.path):
            connection.execute("BEGIN IMMEDIATE")
            outcomes = _run_all(writer, works, sign)
            if outcomes is None:
                outcomes = [_run_one(writer, work, sign) for work in works]
            connection.execute("COMMIT")
    except BaseException as error:
        _recover(writer, error)
        raise
    return outcomes


def _run_all(
    writer: Writer, works: Sequence[Work], sign: Callable[[bytes], bytes]
) -> list[Outcome] | None:
    """Do all of ``works`` without a savepoint for each, since they seldom raise; None: one did, and
    nothing is left of any."""
    outcomes: list[Outcome] = []
    try:
        for are_appends, some in itertools.groupby(works, lambda work: isinstance(work, Append)):
            if are_appends:
                outcomes += map(Outcome, _append(writer, some, sign))
            else:
                outcomes += [Outcome(_run(writer, work, sign)) for work in some]
    except Exception as error:
        if _is_of_the_file(error):
            raise
        connection = writer.connection
        connection.execute("ROLLBACK")
        _begin_anew(writer)
        connection.execute("BEGIN IMMEDIATE")
        return None
    return outcomes


def _run_one(writer: Writer, work: Work, sign: Callable[[bytes], bytes]) -> Outcome:
    connection = writer.connection
    connection.execute("SAVEPOINT one")
    try:
        value = _run(writer, work, sign)
    except Exception as error:
        if _is_of_the_file(error):
            raise
        connection.execute("ROLLBACK TO one")
        connection.execute("RELEASE one")
        _begin_anew(writer)
        return Outcome(error=error)
    connection.execute("RELEASE one")
    return Outcome(value)


def _run(writer: Writer, work: Work, sign: Callable[[bytes], bytes]) -> Any:
    if isinstance(work, Append):
        return _append(writer, (work,), sign)[0]
    value = work(writer)
    _finish(writer)
    return value


def _append(
    writer: Writer, appends: Iterable[Any], sign: Callable[[bytes], bytes]
) -> list[tuple[Entry, ...]]:
    done = writer.append_all(tuple(appends), sign)
    _finish(writer)
    return done


def _finish(writer: Writer) -> None:
    """Write what follows from the entries."""
    writer.fold.flush()
    if writer.wrong_tables:  # what was made of a damaged row may be wrong, too
        writer.wrong_tables.clear()
        with contextlib.suppress(LedgerDamagedError):  # verify tells what keeps it from that
            sealing.rebuild(writer)


def _is_of_the_file(error: Exception) -> bool:
    """Tell whether the whole transaction fails by an error, not only the work that met it."""
    return isinstance(error, sqlite3.Error) and not isinstance(
        error, sqlite3.IntegrityError | sqlite3.ProgrammingError
    )


def _begin_anew(writer: Writer) -> None:
    """Forget what was rolled back."""
    writer.forget()
    sealing.begin(writer)


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
