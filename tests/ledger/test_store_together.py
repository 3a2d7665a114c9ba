"""Entries and the seals over them that are kept together: as if one after the other."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from tests.ledger.store_making import ANN, BOB, VERIFY, Scene, entry, fact, offered, snapshot, using

from buildnet.ledger.chain import Tip
from buildnet.ledger.events import Keep
from buildnet.ledger.store.rows import COLUMNS
from buildnet.ledger.store.store import LedgerStore
from buildnet.ledger.store.verifying import Trust
from buildnet.mesh.identity import node_id_of


def story(*, seals: int = 2) -> tuple[Scene, list[Keep]]:
    """Entries of all kinds and ``seals`` over them."""
    scene, kept, node = Scene(), list[Keep](), node_id_of(BOB.public_key)
    for number in range(seals):
        scene.add(ANN, type="build.started", entity=f"build:{number}")
        scene.add(BOB, type="resources.offered", postings=offered(node, 4))
        scene.add(ANN, type="config.created", entity=f"config:{number}", data=fact({"n": number}))
        scene.add(BOB, type="build.completed", entity=f"build:{number}")
        kept += [scene.keep(), scene.seal()]
    return scene, kept


async def content(store: LedgerStore) -> Any:
    rows = await store.read(
        lambda reader: reader.connection.execute(
            f"SELECT {COLUMNS} FROM entries ORDER BY id"
        ).fetchall()
    )
    found = await store.verify(Trust(VERIFY))
    assert found.verified, found.errors
    tables = await store.read(snapshot)
    assert tables["accounts"]
    assert tables["facts"]
    return rows, tables


def test_what_is_kept_together_is_as_what_is_kept_apart(tmp_path: Path) -> None:
    _, kept = story()

    async def apart(store: LedgerStore) -> Any:
        for one in kept:
            await store.keep(one)
        return await content(store)

    async def together(store: LedgerStore) -> Any:
        said: list[str] = []
        await store.write(lambda writer: writer.connection.set_trace_callback(said.append))
        await store.keep(*kept)
        assert not [one for one in said if one.startswith("UPDATE entries")]
        return await content(store)

    assert using(tmp_path / "a.db", apart) == using(tmp_path / "b.db", together)


def test_of_two_branches_the_one_that_was_sealed_is_at_its_place(tmp_path: Path) -> None:
    scene = Scene()
    first = scene.add(ANN, type="build.started", entity="build:1")
    other = entry(ANN, after=Tip.of(scene.open[-2]), type="build.failed", hlc=first.body.hlc + 1)

    async def work(store: LedgerStore) -> None:
        taken = Keep(1, entries=(*scene.open[:-1], other))
        replacing = Keep(2, entries=(first,), replaced=((first.chain, first.body.sequence),))
        await store.keep(taken, replacing, scene.seal())
        held = await store.entry(first.id)
        assert held.height == 1
        assert (await store.verify(Trust(VERIFY))).verified

    using(tmp_path / "l.db", work)


@pytest.mark.parametrize("damaged", ["resources.offered", "config.created"])
def test_what_is_built_again_meanwhile_counts_once(tmp_path: Path, damaged: str) -> None:
    """An entry that comes again in place of a damaged one has the tables built anew."""
    path = tmp_path / "l.db"
    scene, kept = story(seals=2)
    broken = next(one for one in scene.sealed if one.body.type == damaged)

    async def begin(store: LedgerStore) -> None:
        await store.keep(*kept[:2])

    async def go_on(store: LedgerStore) -> None:
        await store.keep(kept[2], Keep(99, entries=(broken,)), kept[3])
        before = await content(store)
        await store.rebuild()
        assert await content(store) == before

    using(path, begin)
    with sqlite3.connect(path) as connection:
        changed = connection.execute(
            "UPDATE entries SET signed = ? WHERE hlc = ?",
            (bytes(64) + broken.signed[64:], broken.body.hlc),
        )
        assert changed.rowcount == 1
    connection.close()
    using(path, go_on)
