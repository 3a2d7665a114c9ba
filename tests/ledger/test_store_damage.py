"""Every flipped byte of the file is found or harmless, is located, never served, and is repaired.

A stride of the bytes is tried here; all of them (some 25 minutes) with
``BUILDNET_BYTES=1 uv run pytest -n0 --timeout=3600 tests/ledger/test_store_damage.py``.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from tests.ledger.entries import ANN, BOB, CLUSTER, VERIFY
from tests.ledger.store_making import TRUST, Scene, fact, offered, using

from buildnet.ledger.events import Damaged, Keep
from buildnet.ledger.frontier import Head
from buildnet.ledger.query import Cursor, Query
from buildnet.ledger.restored import Accepted, Promise
from buildnet.ledger.store.database import connect, prepare
from buildnet.ledger.store.errors import LedgerError, errors_of
from buildnet.ledger.store.reader import Reader
from buildnet.ledger.store.repairing import repair
from buildnet.ledger.store.sealing import begin, keep, read_accepted, read_promise
from buildnet.ledger.store.selecting import Selection
from buildnet.ledger.store.store import LedgerStore
from buildnet.ledger.store.tables import TABLES
from buildnet.ledger.store.vault import Vault
from buildnet.ledger.store.verifying import Report, Verification
from buildnet.ledger.store.writer import Writer

EVERY = int(os.environ.get("BUILDNET_BYTES", "211"))


def a_store(path: Path) -> tuple[Scene, list[Keep]]:
    """A small ledger with something of everything."""
    scene = Scene()
    node = ANN.public_key.hex()[:16]
    scene.add(ANN, type="node.started", entity=f"node:{node}", data={"name": "oak"})
    scene.add(BOB, type="config.created", entity="config:fast", data=fact({"cores": 4}))
    scene.add(ANN, type="resources.offered", postings=offered(node, 16))
    keeps = [scene.keep(), scene.seal()]
    for n in range(4):
        scene.add(ANN, type="build.started", entity=f"build:{n}", correlation=f"c{n}")
        scene.add(
            BOB, type="build.failed", entity=f"build:{n}", data={"error": "no"}, request=b"r" * 16
        )
        keeps += [scene.keep(), scene.seal()] if n % 2 else []
    scene.add(BOB, type="session.opened", entity="session:1")
    keeps += [Keep(99, promise=Promise(3), accepted=Accepted(3, 4, b"value")), scene.keep()]

    async def write(store: LedgerStore) -> None:
        for what in keeps:
            await store.keep(what)
        await store.keep_draft(b"q" * 16, 1, b"draft")

    using(path, write)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("PRAGMA page_size=512")
        connection.execute("VACUUM")
        connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    return scene, keeps


@dataclass
class Served:
    """All that a reader gets."""

    entries: list[tuple[str, int | None, int | None]]
    seals: list[bytes]
    tables: dict[str, list[str]]
    found: dict[str, list[str]]
    rest: list[object]
    heads: list[Head]
    known: set[Head]

    def __le__(self, other: Served) -> bool:
        return (
            set(self.entries) <= set(other.entries)
            and set(self.seals) <= set(other.seals)
            and all(set(rows) <= set(other.tables[name]) for name, rows in self.tables.items())
            and all(set(ids) <= set(other.found[name]) for name, ids in self.found.items())
            and set(self.heads) <= self.known
            and all(one is None or one in other.rest for one in self.rest)
        )


def serve(path: Path, scene: Scene) -> Served:
    connection = connect(path, read_only=True)
    try:
        reader = Reader(connection, path, Vault(), lambda _: None)
        known = {Head(one.body.sequence, one.hash) for one in scene.entries}
        served = Served([], [], {}, {}, [], [], known)

        def attempt(work: object) -> None:
            try:
                with reader.snapshot():
                    work()  # type: ignore[operator]
            except (LedgerError, sqlite3.DatabaseError):
                pass

        def everything() -> None:
            cursor: Cursor | None = Cursor()
            while cursor is not None:
                page = Selection(reader, Query()).forwards(cursor, 100)
                served.entries += [(one.entry.id, one.height, one.index) for one in page.entries]
                cursor = page.next

        def seals() -> None:
            served.seals += [one.hash for one in reader.seals(1)]

        attempt(everything)
        attempt(seals)
        for query in (
            Query(types=("build.*",)),
            Query(origin=BOB.public_key.hex()),
            Query(entity="build:1"),
            Query(actor="ann"),
            Query(build="2"),
            Query(correlation="c3"),
        ):

            def filtered(query: Query = query) -> None:
                page = Selection(reader, query).backwards(Cursor(), 100)
                served.found[str(query)] = [one.entry.id for one in page.entries]

            attempt(filtered)
        for table in TABLES:

            def rows(name: str = table.name) -> None:
                served.tables[name] = [str(row) for row in reader.table(name)]

            attempt(rows)
        attempt(lambda: served.rest.append(read_promise(reader)))
        attempt(lambda: served.rest.append(read_accepted(reader)))
        attempt(lambda: served.heads.extend(head for head, _ in reader.heads().values()))
        return served
    finally:
        connection.close()


def check(path: Path) -> Report:
    return Verification(path, CLUSTER, Vault(), TRUST).run()


def test_an_unharmed_store_verifies(tmp_path: Path) -> None:
    scene, _ = a_store(tmp_path / "l.db")
    report = check(tmp_path / "l.db")
    assert report.errors == []
    assert report.verified
    assert report.entries_checked == len(scene.entries)
    assert report.seals_checked == len(scene.seals)


def test_every_flipped_byte_is_found_or_harmless_and_never_served(tmp_path: Path) -> None:
    good = tmp_path / "good.db"
    scene, keeps = a_store(good)
    original = good.read_bytes()
    right = serve(good, scene)
    assert len(right.entries) == len(scene.entries)
    path = tmp_path / "bad.db"
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    for at in range(0, len(original), EVERY):
        for name in tmp_path.glob("bad.db*"):
            name.unlink()
        data = bytearray(original)
        data[at] ^= 1 << (at % 8)
        path.write_bytes(data)
        outcome = judge(path, scene, keeps, right)
        counts[outcome] += 1
        if outcome.startswith("WRONG"):
            wrong.append(f"byte {at} (page {at // 512 + 1}): {outcome}")
    print(dict(counts))
    assert wrong == []
    left = {name.partition(": ")[2] for name in counts if name.startswith("found, not repaired")}
    # What this node alone knows (its promises as a voter, its drafts) no peer can give back.
    assert left <= {"settings,", "drafts,"}


def judge(path: Path, scene: Scene, keeps: list[Keep], right: Served) -> str:
    try:
        connection = prepare(path, CLUSTER, Vault())
    except LedgerError:
        return "refused"
    connection.close()
    with errors_of(path):
        report = check(path)
    served = serve(path, scene)
    if report.verified:
        return "harmless" if served == right else "WRONG: changed and not found"
    if not served <= right:
        return "WRONG: served what was not written"
    if not all(problem.where for problem in report.errors):
        return "WRONG: not located"
    return mend(path, keeps)


def mend(path: Path, keeps: list[Keep]) -> str:
    """Repair with what a peer has: its entries and seals, kept again."""
    try:
        connection = prepare(path, CLUSTER, Vault())
        try:
            writer = Writer(connection, path, CLUSTER, Vault())
            begin(writer)
            seals = [one for what in keeps for one in what.seals]
            steps: list[Callable[[], None]] = [lambda: repair(writer, VERIFY)]
            for what in keeps:
                steps.append(partial(keep, writer, Keep(1, entries=what.entries)))
            steps.append(lambda: repair(writer, VERIFY, seals))
            for step in steps:
                connection.execute("BEGIN IMMEDIATE")
                step()
                writer.fold.flush()
                connection.execute("COMMIT")
        finally:
            connection.close()
        report = check(path)
    except (LedgerError, sqlite3.DatabaseError):  # at last it can't be opened any more
        return "found, needs another file"
    if report.verified:
        return "repaired"
    if report.structure:
        return "found, needs another file"
    return f"found, not repaired: {report.errors[0].where.partition(' ')[0]}"


def test_a_seal_that_is_no_bytes_any_more_ends_the_list(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    scene, _ = a_store(path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE seals SET record=7 WHERE height=2")
    connection.close()
    assert len(serve(path, scene).seals) == 1


@pytest.mark.parametrize("sequence", [1, 3])
def test_a_damaged_entry_is_told_and_comes_back_from_a_peer(tmp_path: Path, sequence: int) -> None:
    path = tmp_path / "l.db"
    scene, keeps = a_store(path)
    victim = next(one for one in scene.entries if one.body.sequence == sequence)
    told: list[Damaged] = []
    with sqlite3.connect(path) as connection:
        (stored,) = connection.execute(
            "SELECT signed FROM entries WHERE signed=?", (victim.signed,)
        ).fetchone()
        broken = bytearray(stored)
        broken[100] ^= 1
        connection.execute(
            "UPDATE entries SET signed=? WHERE signed=?", (bytes(broken), victim.signed)
        )
    connection.close()

    async def work(store: LedgerStore) -> None:
        with pytest.raises(LedgerError, match="damaged"):
            await store.entry(victim.id)
        assert len(await store.range(victim.chain, 1, 99)) == sequence - 1
        await asyncio.sleep(0)
        assert Damaged(victim.chain, sequence, sequence) in told
        report = await store.verify(TRUST)
        assert not report.verified
        assert report.damaged == [Damaged(victim.chain, sequence, sequence)]
        await store.keep(Keep(1, entries=(victim,)))
        assert (await store.entry(victim.id)).entry == victim
        await store.repair(TRUST)
        assert (await store.verify(TRUST)).errors == []

    using(path, work, on_damaged=told.append)
    del keeps


CELLS = int(os.environ.get("BUILDNET_CELLS", "23"))


def test_a_cell_of_any_other_type_is_found_or_harmless_and_never_served(tmp_path: Path) -> None:
    """A flipped bit in a row's header makes another type of a value; here of every column."""
    good = tmp_path / "good.db"
    scene, keeps = a_store(good)
    right = serve(good, scene)
    cells = cells_of(good)
    wrong: list[str] = []
    for number in range(0, len(cells), CELLS):
        path = tmp_path / f"{number}.db"
        path.write_bytes(good.read_bytes())
        change_cell(path, *cells[number], number)
        try:
            outcome = judge(path, scene, keeps, right)
        except Exception as error:
            outcome = f"WRONG: {type(error).__name__}: {error}"
        if outcome.startswith("WRONG"):
            wrong.append(f"{cells[number]}: {outcome}")
    assert wrong == []


def cells_of(path: Path) -> list[tuple[str, str, object]]:
    """Return table, column and value of every change to be tried."""
    with sqlite3.connect(path) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall()
        columns = [
            (name, column[1])
            for (name,) in names
            if not name.startswith("sqlite_")
            for column in connection.execute(f"PRAGMA table_info({name})")
        ]
    connection.close()
    values = (None, 7, 1.5, "x", b"\0")
    return [(table, column, value) for table, column in columns for value in values]


def change_cell(path: Path, table: str, column: str, value: object, number: int) -> None:
    """Set a column of one row behind the schema's back; the number picks the row."""
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute("PRAGMA writable_schema=ON")
        (was,) = connection.execute(
            "SELECT sql FROM sqlite_master WHERE name=?", (table,)
        ).fetchone()
        loose = was.replace(" NOT NULL", "")
        connection.execute("UPDATE sqlite_master SET sql=? WHERE name=?", (loose, table))
    connection.close()
    with sqlite3.connect(path, isolation_level=None) as connection:
        (rows,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        one = f"SELECT {column} FROM {table} LIMIT 1 OFFSET {number % max(1, rows)}"
        with suppress(sqlite3.IntegrityError):  # a row's number can't be anything else
            connection.execute(
                f"UPDATE OR IGNORE {table} SET {column}=? WHERE {column} IN ({one})", (value,)
            )
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("UPDATE sqlite_master SET sql=? WHERE name=?", (was, table))
    connection.close()
