"""Encryption is switched on and off, and keys are changed, on a ledger that is there."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
from tests.ledger.entries import ANN, BOB, CLUSTER, VERIFY, chain_of
from tests.ledger.store_making import Scene, fact, offered

from buildnet.ledger.query import Query
from buildnet.ledger.service.settings import LedgerSettings
from buildnet.ledger.store.errors import LedgerError
from buildnet.ledger.store.fence import Start
from buildnet.ledger.store.store import LedgerStore
from buildnet.ledger.store.vault import Vault, VaultError, load_key
from buildnet.ledger.store.verifying import Trust

T = TypeVar("T")
PLAIN, ONE, TWO = Vault(), Vault(b"1" * 32), Vault(b"2" * 32)
SECRET = b"nobody reads this"


def using(
    path: Path, work: Callable[[LedgerStore], Awaitable[T]], vault: Vault, *former: Vault
) -> T:
    async def run() -> T:
        store = await LedgerStore.open(
            path, cluster=CLUSTER, sign=ANN.sign, vault=vault, former=former
        )
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())


def filled(path: Path) -> None:
    scene = Scene()
    node = ANN.public_key.hex()[:16]
    scene.add(ANN, type="resources.offered", postings=offered(node, 16))
    scene.add(ANN, type="build.started", entity="build:old")
    keeps = [scene.keep(), scene.seal()]
    scene.add(BOB, type="config.created", entity="config:fast", data=fact({"t": SECRET.decode()}))
    keeps += [scene.keep(), scene.seal()]
    scene.add(BOB, entity="config:fast", type="test.event", data={"text": SECRET.decode()})
    keeps.append(scene.keep())

    async def work(store: LedgerStore) -> None:
        for what in keeps:
            await store.keep(what)
        await store.prune(1)
        await store.keep_draft(b"r" * 16, 5, SECRET)

    using(path, work, PLAIN)


async def all_of(store: LedgerStore) -> tuple[object, ...]:
    report = await store.verify(Trust(VERIFY))
    assert report.errors == []
    page = await store.query(Query(entity="config:fast", sealed=True))
    return (
        report.entries_checked,
        [one.entry.id for one in page.entries],
        await store.table("configurations"),
        await store.table("accounts"),
        [one.body for one in await store.drafts()],
        store.start,
    )


def test_a_ledger_is_encrypted_gets_another_key_and_is_decrypted(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    filled(path)
    assert SECRET in path.read_bytes()
    before = using(path, all_of, PLAIN)
    assert before[-1] is Start.CONTINUED
    assert using(path, all_of, ONE, PLAIN) == before
    for file in tmp_path.iterdir():
        assert SECRET not in file.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert using(path, all_of, TWO, PLAIN, ONE) == before
    with pytest.raises(VaultError, match="another key"):
        using(path, all_of, ONE, PLAIN)
    with pytest.raises(VaultError, match="no key is given") as told:
        using(path, all_of, PLAIN)
    assert "former_key_file" in (told.value.hint or "")
    assert using(path, all_of, PLAIN, TWO) == before
    assert SECRET in path.read_bytes()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["l.db", "l.db.fence"]


def test_a_damaged_ledger_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    filled(path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE entries SET short=short+1 WHERE length(signed)>32")
    connection.close()
    with pytest.raises(LedgerError, match="damaged"):
        using(path, all_of, ONE, PLAIN)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["l.db", "l.db.fence"]

    async def nothing(store: LedgerStore) -> Start:
        assert (await store.range(chain_of(ANN), 9, 9)) == []
        return store.start

    assert using(path, nothing, PLAIN) is Start.CONTINUED


def test_keys_come_from_files(tmp_path: Path) -> None:
    file = tmp_path / "key"
    with pytest.raises(VaultError, match="can't be read") as told:
        LedgerSettings(key_file=file).vault()
    assert "buildnet ledger make-key" in (told.value.hint or "")
    key = load_key(file, create=True)
    assert LedgerSettings(key_file=file).vault() == Vault(key)
    assert LedgerSettings(key_file=file).former_vaults() == (PLAIN,)
    assert LedgerSettings(former_key_file=file).former_vaults() == (PLAIN, Vault(key))
    file.chmod(0o644)
    with pytest.raises(VaultError, match="others may read"):
        LedgerSettings(key_file=file).vault()
