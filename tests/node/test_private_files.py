"""What a node keeps nobody else reads, whatever the umask and the mode of its directory."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from buildnet.ledger.history import History
from buildnet.mesh.service.private_database import make_private
from buildnet.mesh.service.store import MeshStore
from buildnet.node.home import Home, Runtime
from buildnet.node.log import configure_logging


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def open_to_others(directory: Path) -> list[str]:
    return sorted(one.name for one in directory.iterdir() if one.stat().st_mode & 0o077)


def test_databases_and_what_lies_beside_them_are_private(tmp_path: Path) -> None:
    async def work() -> None:
        history = await History.open(tmp_path / "history.db")
        mesh = await MeshStore.open(tmp_path / "mesh.db")
        assert len(list(tmp_path.iterdir())) == 6
        assert open_to_others(tmp_path) == []
        await mesh.close()
        await history.close()

    asyncio.run(work())


def test_what_others_could_read_before_they_can_not_any_more(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE t (a)")
        assert open_to_others(tmp_path) == ["l.db", "l.db-shm", "l.db-wal"]
        make_private(path)
        assert open_to_others(tmp_path) == []
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("t",)]


def test_a_database_that_can_not_be_made_is_told_in_sqlites_words(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        make_private(tmp_path / "no directory" / "l.db")


def test_the_log_and_what_a_node_says_of_itself_are_private(tmp_path: Path) -> None:
    configure_logging(level="info", form="json", file=tmp_path / "node.log")
    try:
        home = Home(tmp_path)
        home.write_runtime(Runtime("id", "oak", "[::1]:1", "sock", 1, "home", "now", "1"))
        home.keep_name("oak")
        assert len(list(tmp_path.iterdir())) == 3
        assert open_to_others(tmp_path) == []
    finally:
        configure_logging(level="info", form="json", file=None)
