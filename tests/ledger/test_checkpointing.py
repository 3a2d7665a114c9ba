"""The write-ahead log is moved to its place beside the writing thread, and begins anew."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

from tests.ledger.store_making import START, VERIFY, using
from tests.ledger.test_store import begun, body

from buildnet.ledger.store import checkpointing
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
        store._checkpoints = checkpointing.Checkpoints(path)
        assert (await store.verify(Trust(VERIFY))).errors == []

    using(path, write)


def test_a_file_that_can_t_be_opened_harms_nobody(tmp_path: Path) -> None:
    async def check() -> None:
        checkpoints = checkpointing.Checkpoints(tmp_path / "none" / "l.db")
        for _ in range(3 * checkpointing.TRANSACTIONS):
            checkpoints.wrote()
            await asyncio.sleep(0)
        await checkpoints.close()

    asyncio.run(check())
