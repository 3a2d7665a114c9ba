"""What is kept for others is on the disk, comes back whole, and damage is told."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from buildnet.node.durable.shelf import NOTHING_SAID, Said, Shelf, ShelfError, Shelved
from buildnet.pool.demand import Orders, Priority
from buildnet.pool.durable import Phase
from buildnet.pool.warrant import Grant, Warrant

WARRANT = Warrant(b"d" * 32, b"s" * 16, (Grant(b"d" * 32, b"m" * 32, 2, b"n" * 64),))
KEPT = Shelved("b1", b"d" * 32, 2, Phase.KEPT, 1.5, b"plan" * 100, b"sources", WARRANT)

SAID = Said(Orders(Priority.HIGH, paused=True), 7.5)


def opened(path: Path) -> Shelf:
    return Shelf.open(path / "requests.db")


def test_what_was_kept_is_there_after_a_restart(tmp_path: Path) -> None:
    async def work(shelf: Shelf) -> None:
        await shelf.put(KEPT)
        await shelf.put(Shelved("b2", b"e" * 32, 1, Phase.KEPT, 1.0, b"", b"", WARRANT))
        await shelf.set_phase("b1", Phase.DRIVING, 2.5)
        await shelf.set_ended("b2", b"{}", 3.5)
        await shelf.set_said("b1", SAID)

    shelf = opened(tmp_path)
    asyncio.run(work(shelf))
    shelf.close()
    again = opened(tmp_path)
    assert again.builds() == ["b1", "b2"]
    driven, ended = map(again.get, again.builds())
    assert driven == replace(KEPT, phase=Phase.DRIVING, since=2.5, said=SAID)
    assert ended.said == NOTHING_SAID
    assert (ended.phase, ended.since, ended.report) == (Phase.ENDED, 3.5, b"{}")
    asyncio.run(again.remove("b1"))
    assert again.builds() == ["b2"]
    with pytest.raises(ShelfError):
        again.get("b1")
    again.close()


def test_it_is_nobody_elses_to_read(tmp_path: Path) -> None:
    opened(tmp_path).close()
    assert (tmp_path / "requests.db").stat().st_mode & 0o077 == 0


def test_damage_and_newer_versions_are_told(tmp_path: Path) -> None:
    path = tmp_path / "requests.db"
    shelf = opened(tmp_path)
    asyncio.run(shelf.put(KEPT))
    shelf.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE kept SET plan=x'00'")
    connection.close()
    shelf = opened(tmp_path)
    with pytest.raises(ShelfError, match="can't be used"):
        shelf.get("b1")
    shelf.close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(ShelfError, match="newer"):
        opened(tmp_path)
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(ShelfError):
        opened(tmp_path)
