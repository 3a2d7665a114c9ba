"""Where the last entry of a chain is damaged, seals and what is before it tell where it ends."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.ledger.store_making import ANN, BOB, Scene, chain_of, using

from buildnet.ledger.entry import Chain, Entry
from buildnet.ledger.events import Damaged, Keep
from buildnet.ledger.frontier import Head
from buildnet.ledger.restored import Restored
from buildnet.ledger.store.errors import LedgerDamagedError
from buildnet.ledger.store.store import LedgerStore


def a_ledger(path: Path) -> Scene:
    """Of ANN 3 sealed and 3 provisional entries, of BOB 2 sealed ones."""
    scene = Scene()
    keeps: list[Keep] = []
    for who in (ANN, BOB, ANN):
        scene.add(who)
        keeps += [scene.keep(), scene.seal()]
    for _ in range(3):
        scene.add(ANN)
    keeps.append(scene.keep())

    async def write(store: LedgerStore) -> None:
        for what in keeps:
            await store.keep(what)

    using(path, write)
    return scene


def of(scene: Scene, chain: Chain, sequence: int) -> Entry:
    return next(one for one in scene.entries if (one.chain, one.body.sequence) == (chain, sequence))


def spoil(path: Path, entry: Entry, column: str) -> None:
    """Damage the bytes of an entry, or a column of its row."""
    broken = bytearray(entry.signed)
    broken[200] ^= 1
    new: object = bytes(broken) if column == "signed" else 999
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"UPDATE entries SET {column}=? WHERE signed=?", (new, entry.signed))


def restored(path: Path) -> tuple[Restored, list[Damaged]]:
    told: list[Damaged] = []

    async def work(store: LedgerStore) -> Restored:
        found = await store.restored()
        await asyncio.sleep(0)
        return found

    return using(path, work, on_damaged=told.append), told


@pytest.mark.parametrize("column", ["signed", "sequence", "hlc", "short"])
def test_how_far_a_chain_is_sealed_is_known_although_its_last_entry_is_damaged(
    tmp_path: Path, column: str
) -> None:
    path, bob = tmp_path / "l.db", chain_of(BOB)
    scene = a_ledger(path)
    right, _ = restored(path)
    entry = of(scene, bob, 2)
    spoil(path, entry, column)
    found, told = restored(path)
    assert found.sealed == right.sealed == dict(scene.frontier)
    assert found.unsealed == right.unsealed
    assert found.unsure == {bob}
    assert Damaged(bob, 2, 2) in told
    head, clock = found.heads.pop(bob)  # type: ignore[attr-defined]
    assert head == Head(2, entry.hash)
    least = of(scene, bob, 1).body.hlc
    assert clock == (least if column == "sequence" else entry.body.hlc)
    assert found.heads == {chain: one for chain, one in right.heads.items() if chain != bob}


@pytest.mark.parametrize(("sequence", "end"), [(4, 3), (5, 4), (6, 5)])
def test_a_chain_counts_up_to_the_first_unsealed_entry_that_is_damaged(
    tmp_path: Path, sequence: int, end: int
) -> None:
    path, ann = tmp_path / "l.db", chain_of(ANN)
    scene = a_ledger(path)
    spoil(path, of(scene, ann, sequence), "signed")
    found, told = restored(path)
    assert found.sealed == dict(scene.frontier)
    last = of(scene, ann, end)
    assert found.heads[ann] == (Head(end, last.hash), last.body.hlc)
    assert [one for one, _ in found.unsealed.get(ann, ())] == [
        of(scene, ann, at).hash for at in range(4, end + 1)
    ]
    assert found.unsure == {ann}
    assert Damaged(ann, sequence, sequence) in told


def test_a_sealed_entry_before_provisional_ones_leaves_their_chain_sure(tmp_path: Path) -> None:
    path, ann = tmp_path / "l.db", chain_of(ANN)
    scene = a_ledger(path)
    right, _ = restored(path)
    spoil(path, of(scene, ann, 3), "signed")
    found, told = restored(path)
    assert found == right
    assert Damaged(ann, 3, 3) in told


def test_where_seals_are_damaged_too_nothing_tells_how_far_is_sealed(tmp_path: Path) -> None:
    path, bob = tmp_path / "l.db", chain_of(BOB)
    scene = a_ledger(path)
    spoil(path, of(scene, bob, 2), "signed")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE seals SET record=x'00' WHERE height=2")
    with pytest.raises(LedgerDamagedError) as caught:
        restored(path)
    assert "neither entries nor seals" in str(caught.value.cause)
