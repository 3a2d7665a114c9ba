"""Upkeep: damaged seals are asked for and mended, old entries are forgotten, never the newest."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from tests.ledger.entries import ANN, BOB, START, VERIFY
from tests.ledger.store_making import Scene, using

from buildnet.ledger.service import upkeep as upkeep_module
from buildnet.ledger.service.damage import last_damage
from buildnet.ledger.service.settings import DAY_S, LedgerSettings
from buildnet.ledger.service.upkeep import FIRST_PRUNE_S, PRUNE_EACH_S, Upkeep
from buildnet.ledger.store.pruning import pruned_to
from buildnet.ledger.store.sealing import rebuild
from buildnet.ledger.store.store import LedgerStore
from buildnet.ledger.store.verifying import Trust
from buildnet.ledger.store.writer import Writer
from buildnet.mesh.clock import milliseconds_of

TRUST = Trust(VERIFY)


async def no_sleep(seconds: float) -> None:
    pass


def upkeep(store: LedgerStore, asked: list[tuple[int, ...]]) -> Upkeep:
    return Upkeep(store, VERIFY, LedgerSettings(), asked.append, sleep=no_sleep)


def test_a_damaged_seal_is_asked_for_and_mended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scene, path = Scene(), tmp_path / "l.db"
    keeps = []
    for _ in range(3):
        scene.add(ANN)
        keeps += [scene.keep(), scene.seal()]
    asked: list[tuple[int, ...]] = []

    async def write(store: LedgerStore) -> None:
        for what in keeps:
            await store.keep(what)

    async def work(store: LedgerStore) -> None:
        it = upkeep(store, asked)
        found = await it.scrubber.scrub()
        assert (found.entries, found.seals, found.wrong) == (4, 3, 1)
        assert asked == [(2,)]
        assert it.damaged_seals == (2,)
        await it.mend((), [scene.seals[0]])
        assert it.damaged_seals == (2,)
        await it.mend((), [scene.seals[1]])
        assert not it.damaged_seals
        assert (await store.verify(TRUST)).errors == []
        damage = await store.read(last_damage)
        assert damage is not None
        assert (damage.by, damage.problems, damage.mended) == ("scrub", 1, False)
        assert (await it.scrubber.scrub()).wrong == 0
        assert await store.read(last_damage) == replace(damage, mended=True)
        assert "scrub found 1 damaged place" in caplog.text
        assert "nothing damaged in the ledger's file any more" in caplog.text
        await it.damage.found("verify", 2, "chain 1: missing")
        await it.scrubber.scrub(5)  # the rest of a reading proves nothing of what was before
        damage = await store.read(last_damage)
        assert damage is not None
        assert (damage.by, damage.problems, damage.mended) == ("verify", 2, False)

    caplog.set_level("INFO", "buildnet.ledger")
    using(path, write)
    with sqlite3.connect(path) as connection:
        connection.execute(
            "UPDATE seals SET record=CAST(? || substr(record, 2) AS BLOB) WHERE height=2", (b"\0",)
        )
    connection.close()
    using(path, work)


def test_damaged_entries_that_come_in_pieces_build_the_tables_twice_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, path = Scene(), tmp_path / "l.db"
    brought = [scene.add(ANN, type="build.started", entity=f"build:{n}") for n in range(6)]
    keeps = [scene.keep(), scene.seal()]
    rebuilt: list[int] = []

    def counted(writer: Writer) -> int:
        rebuilt.append(1)
        return rebuild(writer)

    monkeypatch.setattr(upkeep_module, "rebuild", counted)

    async def write(store: LedgerStore) -> None:
        for what in keeps:
            await store.keep(what)

    async def work(store: LedgerStore) -> None:
        it = upkeep(store, [])
        assert (await it.scrubber.scrub()).wrong == len(brought)
        await asyncio.gather(*(it.mend([entry], ()) for entry in brought))
        assert (await store.verify(TRUST)).errors == []
        assert len(await store.table("builds")) == len(brought)
        assert len(rebuilt) == 2

    using(path, write)
    with sqlite3.connect(path) as connection:
        connection.execute(
            "UPDATE entries SET signed=? || substr(signed, 2) WHERE sequence>1", (b"\0",)
        )
        connection.execute("UPDATE entries SET signed=CAST(signed AS BLOB)")
    connection.close()
    using(path, work)


def test_what_is_too_old_is_forgotten_but_never_the_newest_seal(tmp_path: Path) -> None:
    scene = Scene()
    keeps = []
    for number in range(3):
        scene.add(BOB, type="build.started", entity=f"build:{number}")
        keeps += [scene.keep(), scene.seal()]
    at = [milliseconds_of(seal.value.hlc) for seal in scene.seals]

    async def work(store: LedgerStore) -> None:
        for what in keeps:
            await store.keep(what)
        it = upkeep(store, [])
        assert await it.prune(milliseconds_of(START)) == 0
        assert await it.height_before(at[0]) == 0
        assert await it.height_before(at[0] + 1) == 1
        assert await it.prune(at[0] + 1) == 1
        assert await it.prune(at[2] + 10_000) == 1
        assert await store.write(pruned_to) == 2
        assert [one["id"] for one in await store.table("builds")] == ["2"]
        assert (await store.verify(TRUST)).errors == []

    using(tmp_path / "l.db", work)


def test_what_the_owner_wants_forgotten_is_forgotten_once_a_day(tmp_path: Path) -> None:
    scene = Scene()
    keeps = []
    for number in range(2):
        scene.add(BOB, type="build.started", entity=f"build:{number}")
        keeps += [scene.keep(), scene.seal()]

    async def work(store: LedgerStore) -> None:
        for what in keeps:
            await store.keep(what)
        waits: list[float] = []

        async def sleep(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 3:
                raise asyncio.CancelledError

        for keep_s, reached in ((None, 0), (DAY_S, 1)):
            waits.clear()
            settings = LedgerSettings(retention_s=keep_s)
            it = Upkeep(store, VERIFY, settings, lambda heights: None, sleep=sleep)
            with pytest.raises(asyncio.CancelledError):
                await it.retain()
            assert waits == [FIRST_PRUNE_S, PRUNE_EACH_S, PRUNE_EACH_S]
            assert await store.write(pruned_to) == reached

    using(tmp_path / "l.db", work)
