"""A check of a whole file: signatures in threads beside, everything else in the file's order."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.ledger.entries import ANN, BOB, CLUSTER, VERIFY
from tests.ledger.store_making import Scene, using

from buildnet.ledger.entry import SIGNATURE_BYTES
from buildnet.ledger.events import Damaged
from buildnet.ledger.store import verifying
from buildnet.ledger.store.beside import AHEAD, Beside
from buildnet.ledger.store.rows import COLUMNS, mark_of
from buildnet.ledger.store.store import LedgerStore
from buildnet.ledger.store.vault import Vault
from buildnet.ledger.store.verifying import Progress, Trust, Verification

SEALS = 6
TOGETHER = 5
OPEN = 7


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "SLICE", 3)


def a_store(path: Path) -> Scene:
    """Two chains, 30 entries under seals and 7 provisional ones."""
    scene, keeps = Scene(), []
    for seal in range(SEALS):
        for n in range(TOGETHER - (2 if seal == 0 else 0)):  # each chain is opened, too
            scene.add((ANN, BOB)[n % 2], type="build.started", entity=f"build:{seal}-{n}")
        keeps += [scene.keep(), scene.seal()]
    for n in range(OPEN):
        scene.add((ANN, BOB)[n % 2], type="build.failed", entity=f"build:1-{n}")
    keeps.append(scene.keep())

    async def write(store: LedgerStore) -> None:
        await store.keep(*keeps)

    using(path, write)
    assert len(scene.entries) == SEALS * TOGETHER + OPEN
    return scene


def check(path: Path, verify: Callable[[bytes, bytes, bytes], bool] = VERIFY) -> Verification:
    check = Verification(path, CLUSTER, Vault(), Trust(verify))
    check.run()
    return check


@pytest.mark.usefixtures("small_slices")
def test_it_tells_how_far_it_is_and_of_how_many(tmp_path: Path) -> None:
    scene = a_store(tmp_path / "l.db")
    told = list(Verification(tmp_path / "l.db", CLUSTER, Vault(), Trust(VERIFY)).steps())
    counted = [at.entries for at in told]
    assert counted == sorted(counted)
    assert len(set(counted)) > len(scene.entries) // 3
    assert {at.total for at in told} == {len(scene.entries)}
    assert told[-1] == Progress(len(scene.entries), len(scene.entries), SEALS, 0)


@pytest.mark.usefixtures("small_slices")
def test_signatures_are_checked_in_other_threads(tmp_path: Path) -> None:
    scene = a_store(tmp_path / "l.db")
    threads: list[threading.Thread] = []

    def verify(key: bytes, message: bytes, signature: bytes) -> bool:
        threads.append(threading.current_thread())
        return VERIFY(key, message, signature)

    assert check(tmp_path / "l.db", verify).report.verified
    assert len(threads) == len(scene.entries) + SEALS
    assert threading.main_thread() not in threads
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.usefixtures("small_slices")
@pytest.mark.parametrize("at", [0, 4, 11, SEALS * TOGETHER - 1, SEALS * TOGETHER, -1])
def test_a_forged_signature_is_located_wherever_it_is(tmp_path: Path, at: int) -> None:
    path = tmp_path / "l.db"
    scene = a_store(path)
    victim = (scene.sealed + sorted(scene.open, key=lambda one: one.order))[at]
    forged = bytes(SIGNATURE_BYTES) + victim.signed[SIGNATURE_BYTES:]
    with sqlite3.connect(path) as connection:
        (row,) = connection.execute(
            f"SELECT {COLUMNS} FROM entries WHERE signed=?", (victim.signed,)
        ).fetchall()
        connection.execute(
            "UPDATE entries SET signed=?, mark=? WHERE id=?",
            (forged, mark_of(row[0], row[5], forged), row[0]),
        )
    connection.close()
    report = check(path).report
    sequence = victim.body.sequence
    assert report.damaged == [Damaged(victim.chain, sequence, sequence)]
    assert [one.what for one in report.errors] == ["not signed by its origin"]
    assert report.entries_checked == len(scene.entries)


@pytest.mark.parametrize("sealed", [True, False])
def test_what_is_missing_is_located(tmp_path: Path, sealed: bool) -> None:
    path = tmp_path / "l.db"
    scene = a_store(path)
    victim = (scene.sealed if sealed else scene.open)[2]
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM entries WHERE signed=?", (victim.signed,))
    connection.close()
    damage = Damaged(victim.chain, victim.body.sequence, victim.body.sequence)
    assert damage in check(path).report.damaged


def test_the_last_seal_that_is_gone_is_missed(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    a_store(path)
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM seals WHERE height=?", (SEALS,))
    connection.close()
    told = [(one.where, one.what) for one in check(path).report.errors]
    assert (f"seal {SEALS}", "missing, but there are entries under it or later") in told


def test_items_are_told_in_their_order_and_few_are_held() -> None:
    read: list[int] = []
    told: list[tuple[int, bool]] = []

    def slices() -> Iterator[list[int]]:
        for first in range(0, 40, 4):
            read.append(first)
            yield list(range(first, first + 4))

    beside = Beside()
    for some in beside.judged(slices(), lambda number: number % 3 == 0):
        told += some
        assert len(read) * 4 - len(told) <= AHEAD * 4
    beside.close()
    assert told == [(number, number % 3 == 0) for number in range(40)]


def test_what_was_read_before_a_failure_is_told_first() -> None:
    def slices() -> Iterator[list[int]]:
        yield [1, 2]
        yield [3]
        raise sqlite3.DatabaseError("database disk image is malformed")

    beside = Beside()
    judged = beside.judged(slices(), lambda _: True)
    assert [next(judged), next(judged)] == [[(1, True), (2, True)], [(3, True)]]
    with pytest.raises(sqlite3.DatabaseError, match="malformed"):
        next(judged)
    beside.close()
