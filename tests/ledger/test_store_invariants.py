"""Invariants 6, 7 and 10 on a real file, over what is appended at random; some of it fails."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ledger.store_making import ANN, START, begun, body, chain_of, snapshot, using

from buildnet.ledger.store.store import LedgerStore

KINDS = ("build.started", "build.completed", "build.failed", "session.opened", "node.stopped")
STEPS = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 3), st.booleans(), st.booleans()),
    min_size=1,
    max_size=12,
)
"""Each: a type, a request (0: none), whether its state change fails, whether to wait for it."""


@given(STEPS)
@settings(max_examples=25, deadline=None)
def test_an_entry_its_state_and_its_tables_are_there_together_and_once(
    steps: list[tuple[str, int, bool, bool]],
) -> None:
    async def work(store: LedgerStore) -> None:
        await begun(store)
        await store.write(lambda writer: writer.connection.execute("CREATE TABLE mine (n)"))
        asked: list[asyncio.Task[Any]] = []
        for number, (kind, request, fails, waits) in enumerate(steps):
            make = body(kind, bytes([request]) * 16 if request else b"", n=number)

            def change(connection: sqlite3.Connection, n: int = number, fail: bool = fails) -> None:
                connection.execute("INSERT INTO mine VALUES (?)", (n,))
                if fail:
                    raise ValueError("no")

            asked.append(asyncio.create_task(store.append([make], hlc=START, change=change)))
            if waits:
                await asyncio.wait(asked)
        await asyncio.wait(asked)
        held = (await store.range(chain_of(ANN), 1, 100))[1:]
        kept = await store.read(
            lambda reader: reader.connection.execute("SELECT n FROM mine ORDER BY n").fetchall()
        )
        assert sorted(one.data["n"] for one in held) == [n for (n,) in kept]
        requests = [one.body.request for one in held if one.body.request]
        assert len(requests) == len(set(requests))
        wanted = {request for _, request, fails, _ in steps if request and not fails}
        assert set(requests) == {bytes([request]) * 16 for request in wanted}
        before = await store.read(snapshot)
        await store.rebuild()
        assert await store.read(snapshot) == before

    with tempfile.TemporaryDirectory() as directory:
        using(Path(directory) / "l.db", work)
