"""The write-ahead log is moved to its place beside the writing thread, and begins anew."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.ledger.store_making import START, VERIFY, using
from tests.ledger.test_store import begun, body

from buildnet.ledger.store import checkpointing
from buildnet.ledger.store.checkpointing import Checkpoints
from buildnet.ledger.store.database import CHECKPOINT_PAGES
from buildnet.ledger.store.store import LedgerStore
from buildnet.ledger.store.verifying import Trust


def test_the_log_is_moved_while_entries_are_appended(tmp_path: Path) -> None:
    path = tmp_path / "l.db"

    async def write(store: LedgerStore) -> None:
        await begun(store)
        for n in range(2 * checkpointing.TRANSACTIONS):
            await store.append([body(n=n, text="x" * 4000)], hlc=START)
        await store._checkpoints.close()
        # Read as if there were no log: what was not moved is not there.
        bare = sqlite3.connect(f"file:{path}?immutable=1", uri=True)
        (moved,) = bare.execute("SELECT count(*) FROM entries").fetchone()
        bare.close()
        assert moved >= checkpointing.TRANSACTIONS
        store._checkpoints = Checkpoints(path)
        assert (await store.verify(Trust(VERIFY))).errors == []

    using(path, write)


def test_no_commit_makes_a_checkpoint_not_even_after_an_error_of_the_disk(tmp_path: Path) -> None:
    async def look(store: LedgerStore) -> None:
        def fails(_: object) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        before = store._writer.connection
        assert before.execute("PRAGMA wal_autocheckpoint").fetchone() == (0,)
        with pytest.raises(Exception, match=r"l\.db"):
            await store.write(fails)
        assert store._writer.connection is not before, "it was opened again"
        after = store._writer.connection
        assert after.execute("PRAGMA wal_autocheckpoint").fetchone() == (0,)

    using(tmp_path / "l.db", look)


def test_none_begins_beside_commits_with_nothing_left_to_move(tmp_path: Path) -> None:
    async def check(checkpoints: Checkpoints, writer: sqlite3.Connection) -> None:
        begun: list[bool] = []
        checkpoints._run()
        assert checkpoints._open is not None
        moving, reading = checkpoints._open
        moving.set_trace_callback(
            lambda said: begun.append(reading.in_transaction) if "wal_checkpoint" in said else None
        )
        checkpoints._run()
        assert begun == [], "all was moved"
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO t VALUES (1)")
        writer.execute("ROLLBACK")
        checkpoints._run()
        assert begun == [], "nothing was committed"
        writer.execute("INSERT INTO t VALUES (1)")
        checkpoints._run()
        assert begun == [True], "while somebody reads what was not moved yet"
        checkpoints._run()
        assert begun == [True], "once"
        assert not reading.in_transaction

    beside(tmp_path, check)


def test_the_log_can_t_begin_anew_while_one_is_made(tmp_path: Path) -> None:
    """Even if all was moved by then: SQLite before 3.51.3 would lose what is written to it."""
    log = tmp_path / "l.db-wal"

    async def check(checkpoints: Checkpoints, writer: sqlite3.Connection) -> None:
        def commit(said: str) -> None:
            if "COMMIT" in said:  # everything is moved, and the reading one has not ended
                for _ in range(9):
                    writer.execute("INSERT INTO t VALUES (1)")

        checkpoints._run()
        assert checkpoints._open is not None
        checkpoints._open[1].set_trace_callback(commit)
        writer.execute("INSERT INTO t VALUES (1)")  # the log begins with it
        assert checkpoints._move() == 1
        assert log.stat().st_size == 32 + 10 * (24 + 4096), "it went on"

    beside(tmp_path, check)


def test_the_first_one_and_one_after_an_error_keep_others_from_writing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def check(checkpoints: Checkpoints, writer: sqlite3.Connection) -> None:
        begun: list[bool] = []
        move = checkpoints._move

        def watched(*, is_first: bool = False) -> int:
            assert checkpoints.writing.locked() is is_first
            begun.append(is_first)
            if len(begun) == 2:
                raise sqlite3.OperationalError("disk I/O error")
            return move(is_first=is_first)

        checkpoints._move = watched  # type: ignore[method-assign]
        for _ in range(3):
            writer.execute("INSERT INTO t VALUES (1)")
            checkpoints._run()
        assert begun == [True, False, True]
        assert "grows: disk I/O error" in caplog.text

    beside(tmp_path, check)


@pytest.mark.parametrize("pages", [CHECKPOINT_PAGES, 20])
def test_where_commits_never_pause_the_next_waits_so_that_a_long_log_begins_anew(
    tmp_path: Path, pages: int
) -> None:
    async def check(checkpoints: Checkpoints, writer: sqlite3.Connection) -> None:
        checkpoints._run()
        begun: list[bool] = []

        def move(*, is_first: bool = False) -> int:
            begun.append(checkpoints.writing.locked())
            return pages

        checkpoints._move = move  # type: ignore[method-assign]
        checkpoints._run()
        assert begun == [False] * checkpointing.TIMES + [True] * (pages == CHECKPOINT_PAGES)

    beside(tmp_path, check)


def test_a_file_that_can_t_be_opened_harms_nobody(tmp_path: Path) -> None:
    async def check() -> None:
        checkpoints = Checkpoints(tmp_path / "none" / "l.db")
        for _ in range(3 * checkpointing.TRANSACTIONS):
            checkpoints.wrote(1)
            await asyncio.sleep(0)
        await checkpoints.close()

    asyncio.run(check())


def beside(
    directory: Path, check: Callable[[Checkpoints, sqlite3.Connection], Awaitable[None]]
) -> None:
    """Check the checkpoints of a file to which another connection writes."""

    async def run() -> None:
        path = directory / "l.db"
        writer = sqlite3.connect(path, isolation_level=None)
        writer.execute("PRAGMA journal_mode=WAL")
        checkpointing.leave_to_another(writer)
        writer.execute("CREATE TABLE t (a)")
        checkpoints = Checkpoints(path)
        try:
            await check(checkpoints, writer)
        finally:
            await checkpoints.close()
            writer.close()

    asyncio.run(run())
