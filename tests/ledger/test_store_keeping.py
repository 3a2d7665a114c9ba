"""Copies begin another chain, pruning leaves what verifies, scrubbing finds damage, and a volume
that is full or read-only refuses clearly and recovers."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.ledger.entries import ANN, BOB, CLUSTER, START, VERIFY, chain_of
from tests.ledger.store_making import Scene, fact, offered, using
from tests.ledger.test_store import begun, body

from buildnet.ledger.events import Damaged
from buildnet.ledger.query import Query
from buildnet.ledger.store import pruning, sealing
from buildnet.ledger.store.backup import BackupError, Step, back_up, restore
from buildnet.ledger.store.errors import LedgerError, LedgerFullError, PrunedError
from buildnet.ledger.store.fence import Fence, Start
from buildnet.ledger.store.scrubbing import Pass, Scrubber, last_pass
from buildnet.ledger.store.store import LedgerStore
from buildnet.ledger.store.vault import Vault, VaultError
from buildnet.ledger.store.verifying import Trust

TRUST = Trust(VERIFY)


async def start_of(store: LedgerStore) -> Start:
    return store.start


async def append(store: LedgerStore) -> Start:
    await store.use(chain_of(ANN))
    await store.append([body()], hlc=START)
    return store.start


def test_a_store_that_stopped_in_order_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    assert using(path, append) is Start.FRESH
    assert using(path, append) is Start.CONTINUED
    assert using(path, start_of) is Start.CONTINUED


def test_an_older_copy_is_restored_until_another_chain_is_begun(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    using(path, append)
    shutil.copyfile(path, tmp_path / "old.db")
    using(path, append)
    shutil.copyfile(tmp_path / "old.db", path)
    assert using(path, start_of) is Start.RESTORED
    assert using(path, start_of) is Start.RESTORED

    async def begin_anew(store: LedgerStore) -> Start:
        await store.use(chain_of(ANN, 2))
        await store.append([body()], hlc=START)
        return store.start

    assert using(path, begin_anew) is Start.RESTORED
    assert using(path, start_of) is Start.CONTINUED


def test_a_copy_of_a_running_store_that_crashed_is_restored(tmp_path: Path) -> None:
    path = tmp_path / "l.db"

    async def crash(store: LedgerStore) -> None:
        await append(store)
        await store.back_up(tmp_path / "copy.db", TRUST)
        await append(store)
        shutil.copyfile(path.with_name("l.db.fence"), tmp_path / "fence")

    using(path, crash)
    shutil.copyfile(tmp_path / "fence", path.with_name("l.db.fence"))  # as a crash leaves it
    assert using(path, start_of) is Start.CONTINUED
    shutil.copyfile(tmp_path / "fence", path.with_name("l.db.fence"))
    shutil.copyfile(tmp_path / "copy.db", path)
    assert using(path, start_of) is Start.RESTORED


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("killed", ["_announce", "_write"])
def test_who_is_killed_while_it_starts_is_not_taken_for_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: str, before: bool
) -> None:
    """Before and after the ledger took its next token; ``before``: it ran before."""
    path, scene = tmp_path / "l.db", Scene()
    starts: list[Start] = []
    scene.add(ANN)

    async def look(store: LedgerStore) -> None:
        starts.append(store.start)

    async def write(store: LedgerStore) -> None:
        await store.keep(scene.keep())

    def dies(fence: Fence, *arguments: Any) -> None:
        if killed == "_announce":
            announce(fence, *arguments)
        raise LedgerError("killed")

    if before:
        using(path, write)
    announce = Fence._announce
    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(Fence, killed, dies)
            with pytest.raises(LedgerError, match="killed"):
                using(path, look)
    using(path, look)
    ran = before or killed == "_write"
    assert starts == [Start.CONTINUED if ran else Start.FRESH]


def test_a_ledger_without_its_fence_is_restored(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    using(path, append)
    path.with_name("l.db.fence").unlink()
    assert using(path, start_of) is Start.RESTORED


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


@pytest.mark.parametrize("vault", [None, Vault(b"k" * 32)])
def test_what_is_left_after_pruning_verifies(tmp_path: Path, vault: Vault | None) -> None:
    scene = Scene()
    node = ANN.public_key.hex()[:16]
    counted = scene.add(ANN, type="resources.offered", postings=offered(node, 16))
    config = scene.add(BOB, type="config.created", entity="config:fast", data=fact({"cores": 4}))
    old = scene.add(ANN, type="build.started", entity="build:old")
    spans = scene.add(ANN, type="build.started", entity="build:spans")
    replaced = scene.add(ANN, type="node.started", entity=f"node:{node}")
    keeps = [scene.keep(), scene.seal()]
    kept = scene.add(ANN, type="node.started", entity=f"node:{node}")
    keeps += [scene.keep(), scene.seal()]
    scene.add(ANN, type="build.completed", entity="build:spans")
    scene.add(BOB, type="build.started", entity="build:new")
    keeps += [scene.keep(), scene.seal()]

    async def work(store: LedgerStore) -> None:
        for what in keeps:
            await store.keep(what)
        accounts = await store.table("accounts")
        assert await store.foresee(2) == 2
        assert await store.prune(2) == 2
        assert await store.foresee(2) == 0
        for gone in (old, replaced):
            with pytest.raises(PrunedError):
                await store.entry(gone.id[:16])
        for held in (counted, config, spans, kept):
            assert (await store.entry(held.id)).entry == held
        assert [row["id"] for row in await store.table("builds")] == ["new", "spans"]
        assert await store.table("accounts") == accounts
        report = await store.verify(TRUST)
        assert report.errors == []
        assert report.pruned == 2
        state = await store.state("build:old")
        assert (state.entry, state.pruned) == (None, 1)
        for what in keeps:  # what a peer sends again stays forgotten
            await store.keep(what)
        assert (await store.verify(TRUST)).errors == []
        assert await store.prune(2) == 0
        with pytest.raises(LedgerError, match="no seal"):
            await store.prune(9)
        assert (await store.restored()).heads == {
            chain: (tip.head, tip.hlc) for chain, tip in scene.tips.items()
        }

    using(tmp_path / "l.db", work, vault=vault)


def test_pruning_that_is_broken_off_leaves_what_verifies(tmp_path: Path) -> None:
    scene = Scene()
    scene.add(ANN, type="build.started", entity="build:old")
    keeps = [scene.keep(), scene.seal()]
    scene.add(BOB, type="build.started", entity="build:new")
    keeps += [scene.keep(), scene.seal()]

    async def begin(store: LedgerStore) -> None:
        for what in keeps:
            await store.keep(what)
        await store.write(lambda writer: pruning.prune_some(writer, 1))
        assert (await store.verify(TRUST)).errors == []

    async def go_on(store: LedgerStore) -> None:
        assert (await store.verify(TRUST)).errors == []
        assert [row["id"] for row in await store.table("builds")] == ["new"]

    using(tmp_path / "l.db", begin)
    using(tmp_path / "l.db", go_on)


def test_pruning_that_forgets_nothing_builds_no_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene()
    scene.add(ANN, type="config.created", entity="config:fast", data=fact({"cores": 4}))
    keeps = [scene.keep(), scene.seal()]

    async def work(store: LedgerStore) -> None:
        for what in keeps:
            await store.keep(what)
        monkeypatch.setattr(sealing, "rebuild", pytest.fail)
        assert await store.prune(1) == 0

    using(tmp_path / "l.db", work)


def test_what_pruning_would_forget_is_looked_at_in_slices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "SLICE", 2)
    scene = Scene()
    for number in range(5):
        scene.add(ANN, type="build.started", entity=f"build:{number}")
    keeps = [scene.keep(), scene.seal()]

    async def work(store: LedgerStore) -> None:
        for what in keeps:
            await store.keep(what)
        look = partial(pruning.foresee_some, height=1, after=-1)
        following, forgotten = await store.read(look)
        assert following is not None
        assert forgotten == 1  # the other one opened the chain
        assert await store.foresee(1) == await store.prune(1) == 5
        assert await store.foresee(9) == 0

    using(tmp_path / "l.db", work)


def test_the_scrubber_finds_damage_and_builds_wrong_tables_again(tmp_path: Path) -> None:
    scene = Scene()
    path = tmp_path / "l.db"
    victim = scene.add(ANN, type="config.created", entity="config:fast", data=fact({"cores": 4}))
    keeps = [scene.keep(), scene.seal()]
    told: list[Damaged] = []
    waits: list[float] = []

    async def write(store: LedgerStore) -> None:
        for what in keeps:
            await store.keep(what)

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def scrub(store: LedgerStore) -> None:
        with pytest.raises(LedgerError, match="not what was written"):
            await store.table("configurations")
        seals: list[int] = []
        scrubber = Scrubber(
            store, VERIFY, per_second=4, sleep=sleep, on_seal=seals.append, now_s=lambda: 5.0
        )
        found = await scrubber.scrub()
        await asyncio.sleep(0)
        assert found == Pass(5000, 2, 1, 2, 1)
        assert await store.read(last_pass) == found
        assert waits[0] == 0.5
        assert seals == [1]
        assert told == [Damaged(victim.chain, 2, 2)]
        await store.keep(replace(keeps[0], seals=(), sealed=()))
        found = await scrubber.scrub()
        assert (found.wrong, found.tables) == (1, 0)
        assert [row["name"] for row in await store.table("configurations")] == ["fast"]

    using(path, write)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE configurations SET name='fake'")
        connection.execute(
            "UPDATE entries SET signed=? || substr(signed, 2) WHERE sequence=2", (b"\0",)
        )
        connection.execute("UPDATE entries SET signed=CAST(signed AS BLOB)")
        connection.execute("UPDATE seals SET hash=zeroblob(32)")
    connection.close()
    using(path, scrub, on_damaged=told.append)


def test_a_full_volume_refuses_and_recovers(small_volume: Path) -> None:
    async def work(store: LedgerStore) -> None:
        await begun(store)
        filler = small_volume / "filler"
        size = shutil.disk_usage(small_volume).free - 100_000
        filler.write_bytes(b"x" * size)
        held: list[str] = []

        async def until_full() -> None:
            for _ in range(500):
                (one,) = await store.append([body(text="x" * 2000)], hlc=START)
                held.append(one.id)

        with pytest.raises(LedgerFullError):
            await until_full()
        assert isinstance(store.trouble, LedgerFullError)
        with pytest.raises(LedgerFullError):
            await store.append([body(text="x" * 2000)], hlc=START)
        assert [
            one.id for one in await store.range(chain_of(ANN), 2, 999, max_bytes=1 << 40)
        ] == held
        filler.unlink()
        (after,) = await store.append([body()], hlc=START)
        assert store.trouble is None
        assert after.body.sequence == len(held) + 2
        assert (await store.verify(TRUST)).errors == []

    using(small_volume / "l.db", work)


def test_a_failing_commit_acknowledges_nothing(tmp_path: Path) -> None:
    class Failing:
        """A connection whose commits fail while told to."""

        def __init__(self, inner: sqlite3.Connection) -> None:
            self.inner = inner
            self.fails = True

        def execute(self, statement: str, *rest: object) -> sqlite3.Cursor:
            if statement == "COMMIT" and self.fails:
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = sqlite3.SQLITE_IOERR
                raise error
            return self.inner.execute(statement, *rest)  # type: ignore[arg-type]

        def __getattr__(self, name: str) -> object:
            return getattr(self.inner, name)

    async def work(store: LedgerStore) -> None:
        await begun(store)
        writer = store._writer
        writer.connection = Failing(writer.connection)  # type: ignore[assignment]
        with pytest.raises(LedgerError, match="reading or writing"):
            await store.append([body(n=1)], hlc=START)
        assert store.trouble is not None
        assert len(await store.range(chain_of(ANN), 1, 9)) == 1
        (one,) = await store.append([body(n=2)], hlc=START)  # the file was opened again
        assert one.body.sequence == 2
        assert store.trouble is None
        page = await store.query(Query())
        assert [each.entry.data.get("n") for each in page.entries[1:]] == [2]

    using(tmp_path / "l.db", work)


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
