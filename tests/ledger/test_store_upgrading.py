"""A file of an older version is brought up to date when it is opened, or left as it is."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from tests.ledger.entries import ANN, VERIFY
from tests.ledger.store_making import Scene, fact, offered, using

from buildnet.ledger.query import Query
from buildnet.ledger.store import schema, sealing
from buildnet.ledger.store.backup import BackupError, restore
from buildnet.ledger.store.errors import LedgerDamagedError, LedgerFullError
from buildnet.ledger.store.fence import Start
from buildnet.ledger.store.rekeying import rekey_if_needed
from buildnet.ledger.store.store import LedgerStore
from buildnet.ledger.store.tables import TABLES
from buildnet.ledger.store.vault import Vault
from buildnet.ledger.store.verifying import Trust


def a_store(path: Path) -> Scene:
    scene = Scene()
    node = f"node:{ANN.public_key.hex()[:16]}"
    scene.add(ANN, type="config.created", entity="config:fast", data=fact({"cores": 4}))
    scene.add(ANN, type="key.created", entity="key:k", data=fact({"name": "ci"}))
    scene.add(ANN, type="rights.created", entity="rights:k", data=fact({"rights": "admin"}))
    scene.add(ANN, type="node.started", entity=node, data={"name": "oak"})
    resources = {"resources": {"cpu": {"cores": 4}}}
    scene.add(
        ANN, type="node.resources", entity=node, data=resources, postings=offered(node[5:], 4)
    )
    allocations = {"allocations": [{"id": "a", "build": "b1", "amount": 2}]}
    scene.add(ANN, type="resources.allocated", data=allocations)
    scene.add(ANN, type="benchmark.completed", entity=node, data={"type": "cpu", "results": {}})
    scene.add(ANN, type="session.opened", entity="session:s")
    scene.add(ANN, type="build.started", entity="build:b1", data={"packages": ["core"]})
    keeps = [scene.keep(), scene.seal()]
    scene.add(ANN, type="build.failed", entity="build:b1", data={"error": "no"})
    keeps.append(scene.keep())

    async def write(store: LedgerStore) -> None:
        await store.keep(*keeps)

    using(path, write)
    return scene


def make_old(path: Path, *more: str) -> None:
    """Make the file one of version 1, as its first files were."""
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in (
        "DROP INDEX seals_late",
        "CREATE INDEX seals_earliest ON seals(earliest, height)",
        "DROP INDEX entries_short_pending",
        "DROP INDEX entries_short",
        "CREATE INDEX entries_short ON entries(short)",
        "DROP TABLE carried",
        "CREATE TABLE carried (account TEXT NOT NULL, unit TEXT NOT NULL)",
        "DROP TABLE builds",
        "CREATE TABLE builds (id TEXT PRIMARY KEY, status TEXT)",
        "DROP TABLE rights",
        "PRAGMA user_version=1",
        *more,
    ):
        connection.execute(statement)
    connection.close()


async def tables(store: LedgerStore) -> dict[str, list[dict[str, object]]]:
    return {table.name: await store.table(table.name) for table in TABLES}


def test_a_file_of_an_older_version_is_brought_up_to_date(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "l.db"
    scene = a_store(path)
    before = using(path, tables)
    assert [row["status"] for row in before["builds"]] == ["failed"]
    assert caplog.messages == []
    make_old(path)
    caplog.set_level("INFO", "buildnet.ledger")

    async def look(store: LedgerStore) -> None:
        assert (await store.verify(Trust(VERIFY))).errors == []
        assert await tables(store) == before
        page = await store.query(Query(to_ms=scene.clock >> 16))
        assert [one.entry for one in page.entries] == scene.entries

    using(path, look)
    assert caplog.messages == [
        "l.db has indexes or tables of another form (version 1): making those of version "
        f"{schema.SCHEMA_VERSION} from its entries",
        f"l.db is up to date: {len(scene.entries)} entries read",
    ]
    caplog.clear()
    using(path, look)
    assert caplog.messages == []


def test_a_backup_of_an_older_version_is_checked_and_restored(tmp_path: Path) -> None:
    path, backup = tmp_path / "l.db", tmp_path / "old.backup"
    scene = a_store(path)
    before = using(path, tables)
    trust = Trust(VERIFY)
    using(path, lambda store: store.back_up(backup, trust))
    make_old(backup)
    content = backup.read_bytes()
    path.unlink()
    found, aside = restore(backup, path, Vault(), trust)
    assert (found.entries, found.seals, aside) == (len(scene.entries), 1, None)
    assert backup.read_bytes() == content
    connection = sqlite3.connect(path)
    assert schema.version_of(connection) == 1  # the node's start knows of rotated keys
    connection.close()

    async def look(store: LedgerStore) -> None:
        assert store.start is Start.RESTORED
        assert (await store.verify(trust)).errors == []
        assert await tables(store) == before

    using(path, look)
    assert [one.name for one in tmp_path.iterdir() if "restoring" in one.name] == []


def test_a_backup_of_a_newer_version_is_refused_in_words(tmp_path: Path) -> None:
    path, backup = tmp_path / "l.db", tmp_path / "new.backup"
    a_store(path)
    using(path, lambda store: store.back_up(backup, Trust(VERIFY)))
    connection = sqlite3.connect(backup, isolation_level=None)
    connection.execute(f"PRAGMA user_version={schema.SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(BackupError, match="was written by a newer BuildNet") as raised:
        restore(backup, path, Vault(), Trust(VERIFY))
    assert "update BuildNet" in str(raised.value.hint)
    assert using(path, tables)["builds"]


def test_a_file_of_an_older_version_is_encrypted(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    a_store(path)
    before = using(path, tables)
    make_old(path)
    vault = Vault(b"k" * 32)
    assert rekey_if_needed(path, vault, [Vault()])
    assert using(path, tables, vault=vault) == before


def test_a_start_that_is_interrupted_begins_with_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "l.db"
    a_store(path)
    before = using(path, tables)
    make_old(path)
    with monkeypatch.context() as patch:

        def full(writer: object) -> int:
            raise LedgerFullError("there is no room left")

        patch.setattr(sealing, "rebuild", full)
        with pytest.raises(LedgerFullError):
            using(path, tables)
    connection = sqlite3.connect(path)
    assert schema.version_of(connection) == 1
    connection.close()
    assert using(path, tables) == before


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO carried VALUES ('node:1/free', 'cores')",
        "ALTER TABLE entries RENAME COLUMN mark TO sign",
        "DROP TABLE superseded",
    ],
)
def test_what_is_no_older_version_of_it_is_left_alone(tmp_path: Path, change: str) -> None:
    path = tmp_path / "l.db"
    a_store(path)
    make_old(path, change)
    with pytest.raises(LedgerDamagedError):
        using(path, tables)
    connection = sqlite3.connect(path)
    assert schema.version_of(connection) == 1
    connection.close()


@pytest.mark.parametrize("table", [table.name for table in TABLES])
def test_each_derived_table_can_be_dropped(tmp_path: Path, table: str) -> None:
    path = tmp_path / "l.db"
    a_store(path)
    before = using(path, tables)
    assert before[table], f"no entry of {table}"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"DROP TABLE {table}")
    connection.close()

    async def look(store: LedgerStore) -> None:
        assert await tables(store) == before
        assert (await store.verify(Trust(VERIFY))).errors == []

    using(path, look)


@pytest.mark.parametrize("table", [table.name for table in TABLES])
def test_each_derived_table_that_was_emptied_is_found_and_built_again(
    tmp_path: Path, table: str
) -> None:
    path = tmp_path / "l.db"
    a_store(path)
    before = using(path, tables)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"DELETE FROM {table}")
    connection.execute("DELETE FROM digests WHERE name=?", (table,))
    connection.close()

    async def work(store: LedgerStore) -> None:
        assert (await store.verify(Trust(VERIFY))).wrong_tables == {table}
        await store.rebuild()
        assert await tables(store) == before
        assert (await store.verify(Trust(VERIFY))).errors == []

    using(path, work)


def test_each_change_of_the_schema_has_a_number_of_its_own() -> None:
    """Where this fails, raise the version, and name here what it is of."""
    statements = "\n".join(sorted(schema.STATEMENTS))
    assert (schema.SCHEMA_VERSION, schema.checksum(statements).hex()) == (3, "26947c81e1f2b85d")
