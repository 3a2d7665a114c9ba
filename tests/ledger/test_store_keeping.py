"""Pruning leaves what verifies, scrubbing finds damage, and a volume that is full or fails refuses
clearly and recovers."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from tests.ledger.entries import ANN, BOB, START, VERIFY, chain_of
from tests.ledger.store_making import TRUST, Scene, begun, body, fact, offered, using

from buildnet.ledger.events import Damaged
from buildnet.ledger.query import Query
from buildnet.ledger.store import pruning, sealing
from buildnet.ledger.store.errors import LedgerError, LedgerFullError, PrunedError
from buildnet.ledger.store.scrubbing import Pass, Scrubber, last_pass
from buildnet.ledger.store.store import LedgerStore
from buildnet.ledger.store.vault import Vault


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


def test_a_ledger_that_had_nothing_yet_is_soon_read_again(tmp_path: Path) -> None:
    scene = Scene()
    scene.add(ANN, type="config.created", entity="config:fast", data=fact({"cores": 4}))
    waits: list[float] = []

    async def work(store: LedgerStore) -> None:
        async def sleep(seconds: float) -> None:
            if seconds > 1:  # between two readings
                waits.append(seconds)
                await store.keep(scene.keep())
            if len(waits) == 2:
                raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            await Scrubber(store, VERIFY, sleep=sleep, now_s=lambda: 5.0).run()
        last = await store.read(last_pass)
        assert last is not None
        assert last.entries == 2  # the founding, too

    using(tmp_path / "l.db", work)
    assert waits == [60.0, 6 * 3600.0]


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
