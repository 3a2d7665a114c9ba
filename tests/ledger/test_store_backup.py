"""Backups are made while a store runs, verify, and are put back whole or not at all."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path

import pytest
from tests.ledger.entries import ANN, BOB, CLUSTER, START
from tests.ledger.store_making import TRUST, Scene, append, begun, body, fact, start_of, using

from buildnet.ledger.store.backup import BackupError, Step, back_up, restore
from buildnet.ledger.store.errors import LedgerError
from buildnet.ledger.store.fence import Start
from buildnet.ledger.store.store import LedgerStore
from buildnet.ledger.store.vault import Vault, VaultError


def test_a_backup_made_while_running_verifies_and_is_put_back(tmp_path: Path) -> None:
    scene = Scene()
    scene.add(ANN)
    path, copy = tmp_path / "l.db", tmp_path / "copy.db"
    keeps = [scene.keep(), scene.seal()]

    async def work(store: LedgerStore) -> None:
        for what in keeps:
            await store.keep(what)
        steps: list[Step] = []
        made = await store.back_up(copy, TRUST, tell=steps.append)
        assert (made.bytes, made.entries, made.seals) == (copy.stat().st_size, 2, 1)
        assert steps[-1] == Step("checking", 2)
        with pytest.raises(LedgerError, match="exists"):
            await store.back_up(copy, TRUST)
        assert [one.name for one in tmp_path.glob("copy*")] == ["copy.db"]
        scene.add(BOB)
        await store.keep(scene.keep())

    async def check(store: LedgerStore) -> Start:
        report = await store.verify(TRUST)
        assert report.errors == []
        assert report.entries_checked == 2
        return store.start

    using(path, work)
    found, aside = restore(copy, path, Vault(), TRUST)
    assert (found.cluster, found.entries) == (CLUSTER, 2)
    assert aside == path.with_name("l.db.before-restore-1")
    assert aside.exists()
    assert using(path, check) is Start.RESTORED
    with pytest.raises(VaultError, match="not encrypted"):
        restore(copy, path, Vault(b"k" * 32), TRUST)
    assert restore(copy, path, Vault(), TRUST)[1] == path.with_name("l.db.before-restore-2")


def test_a_damaged_backup_is_not_put_back(tmp_path: Path) -> None:
    path, copy = tmp_path / "l.db", tmp_path / "copy.db"
    scene = Scene()
    scene.add(ANN, data={"text": "here it is"})
    keeps = [scene.keep(), scene.seal()]

    async def work(store: LedgerStore) -> None:
        for what in keeps:
            await store.keep(what)
        await store.back_up(copy, TRUST)

    using(path, work)
    before = path.read_bytes()
    content = copy.read_bytes()
    at = content.index(b"here it is")
    copy.write_bytes(content[:at] + b"H" + content[at + 1 :])
    with pytest.raises(LedgerError) as told:
        restore(copy, path, Vault(), TRUST)
    assert told.value.message == f"{copy} is damaged"
    copy.write_bytes(b"no backup" * 1000)
    with pytest.raises(LedgerError):
        restore(copy, path, Vault(), TRUST)
    assert path.read_bytes() == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["copy.db", "l.db", "l.db.fence"]


def test_a_damaged_ledger_gives_no_backup(tmp_path: Path) -> None:
    path, copy = tmp_path / "l.db", tmp_path / "copy.db"
    scene = Scene()
    scene.add(ANN, type="config.created", entity="config:fast", data=fact({"cores": 4}))
    keeps = [scene.keep(), scene.seal()]

    async def work(store: LedgerStore) -> None:
        for what in keeps:
            await store.keep(what)
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE configurations SET name='fake'")
        connection.close()
        with pytest.raises(LedgerError, match="damaged"):
            await store.back_up(copy, TRUST)
        with pytest.raises(LedgerError, match="can't be written"):
            await store.back_up(tmp_path / "nowhere" / "copy.db", TRUST)

    using(path, work)
    assert not list(tmp_path.glob("copy*"))


def test_a_backup_that_nobody_waits_for_leaves_nothing(tmp_path: Path) -> None:
    path, copy = tmp_path / "l.db", tmp_path / "copy.db"
    using(path, append)
    ended = threading.Event()
    ended.set()
    with pytest.raises(LedgerError, match="broken off"):
        back_up(path, copy, Vault(), TRUST, ended=ended)
    assert not list(tmp_path.glob("copy*"))


def test_a_backup_without_room_leaves_nothing(tmp_path: Path, small_volume: Path) -> None:
    path = tmp_path / "l.db"

    async def work(store: LedgerStore) -> None:
        await begun(store)
        for _ in range(60):
            await store.append([body(text="x" * 30_000) for _ in range(10)], hlc=START)
        with pytest.raises(BackupError, match="no room"):
            await store.back_up(small_volume / "copy.db", TRUST)
        assert not list(small_volume.iterdir())

    using(path, work)


def test_a_restore_that_is_killed_leaves_no_older_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nodes end by force, too: then the newest entries are in the log beside the file only."""
    path, copy = tmp_path / "l.db", tmp_path / "copy.db"
    left = [path, path.with_name("l.db-wal"), path.with_name("l.db.fence")]
    held: list[bytes] = []

    async def work(store: LedgerStore) -> None:
        await append(store)
        await store.back_up(copy, TRUST)
        await store.write(lambda writer: None)
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        await append(store)
        held.extend(each.read_bytes() for each in left)

    using(path, work)
    for each, content in zip(left, held, strict=True):
        with each.open("r+b" if each.exists() else "wb") as file:  # as it was: the same inode
            file.truncate(0)
            file.write(content)
    moved: list[Path] = []
    replace_path = Path.replace

    def until_killed(self: Path, target: Path) -> Path:
        if moved:
            raise KeyboardInterrupt
        moved.append(self)
        return replace_path(self, target)

    monkeypatch.setattr(Path, "replace", until_killed)
    with pytest.raises(KeyboardInterrupt):
        restore(copy, path, Vault(), TRUST)
    monkeypatch.undo()
    assert using(path, start_of) is Start.RESTORED


def test_nobody_else_reads_a_backup_while_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, copy = tmp_path / "l.db", tmp_path / "copy.db"
    using(path, append)
    modes: set[int] = set()

    def tell(step: Step) -> None:
        modes.update(one.stat().st_mode & 0o777 for one in tmp_path.glob("*copy.db*"))
        modes.update(one.stat().st_mode & 0o777 for one in tmp_path.glob("l.db.restoring*"))

    monkeypatch.setattr("buildnet.ledger.store.backup._OPCODES", 1)
    before = os.umask(0o022)
    try:
        back_up(path, copy, Vault(), TRUST, tell=tell)
        restore(copy, path, Vault(), TRUST, tell=tell)
    finally:
        os.umask(before)
    assert modes == {0o600}
    assert copy.stat().st_mode & 0o777 == 0o600


def test_a_backup_goes_to_a_volume_without_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a stick with exFAT, or a share of another system."""

    def refuse(*_: object) -> None:
        raise PermissionError("no hard links")

    path, copy = tmp_path / "l.db", tmp_path / "copy.db"
    using(path, append)
    monkeypatch.setattr("os.link", refuse)
    assert back_up(path, copy, Vault(), TRUST).entries == 1
    assert [one.name for one in tmp_path.glob("copy*")] == ["copy.db"]
