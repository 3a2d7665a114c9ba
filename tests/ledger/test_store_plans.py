"""What a page reads does not grow with the ledger: each filter has its index, and a cursor far from
the newest entries costs what the first page does."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from tests.ledger.entries import ANN, BOB
from tests.ledger.store_making import Scene, using

from buildnet.ledger.query import Cursor, Query
from buildnet.ledger.store.ends import ends_of
from buildnet.ledger.store.reader import Reader
from buildnet.ledger.store.rows import place_of
from buildnet.ledger.store.schema import PENDING
from buildnet.ledger.store.selecting import Selection
from buildnet.ledger.store.store import LedgerStore

SEALS = 60
TOGETHER = 12
ENTRIES = SEALS * TOGETHER
LIMIT = 4
STEPS_A_PAGE = 700
"""Instructions of SQLite's machine; to read all entries or all seals takes far more."""
MIDDLE = Cursor(place_of(SEALS // 2, TOGETHER // 2))


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Scene]:
    path, scene = tmp_path_factory.mktemp("plans") / "l.db", Scene()
    keeps = []
    for seal in range(SEALS):
        for n in range(TOGETHER):
            number = seal * TOGETHER + n
            kind = ("build.started", "build.failed", "cache.filled")[n % 3]
            scene.add(
                (ANN, BOB)[n % 2],
                type="node.named" if number == 30 else kind,
                entity=f"build:{number // 3}",
                correlation=f"c{number // 3}",
            )
        keeps += [scene.keep(), scene.seal()]

    async def fill(store: LedgerStore) -> None:
        await store.keep(*keeps)

    using(path, fill)
    return path, scene


class Machine:
    """Counts the instructions of SQLite's machine, and keeps the statements."""

    def __init__(self) -> None:
        self.steps = 0
        self.statements: list[str] = []

    @contextmanager
    def watching(self, reader: Reader) -> Iterator[None]:
        """Count what is done within."""
        connection = reader.connection
        connection.set_progress_handler(self._step, 1)
        connection.set_trace_callback(self.statements.append)
        try:
            yield
        finally:
            connection.set_progress_handler(None, 1)
            connection.set_trace_callback(None)

    def _step(self) -> int:
        self.steps += 1
        return 0

    def plans(self, reader: Reader) -> list[str]:
        """Return how each statement finds its rows."""
        return [
            f"{plan} in {statement}"
            for statement in self.statements
            if statement.startswith("SELECT")
            for _, _, _, plan in reader.connection.execute("EXPLAIN QUERY PLAN " + statement)
        ]


def reading(path: Path, work: Callable[[Reader], None]) -> None:
    async def read(store: LedgerStore) -> None:
        await store.read(work)

    using(path, read)


def queries(scene: Scene) -> list[Query]:
    """Every filter, and every two of them."""
    one = scene.sealed[ENTRIES // 2]
    at = one.body.hlc >> 16
    filters: dict[str, object] = {
        "types": ("build.*",),
        "origin": BOB.public_key.hex(),
        "actor": "ann",
        "entity": one.body.entity,
        "correlation": one.body.correlation,
        "build": one.body.entity.removeprefix("build:"),
        "from_ms": at,
        "to_ms": at,
        "text": "build",
        "sealed": True,
    }
    chosen = [[name] for name in filters] + [
        list(two) for two in itertools.combinations(filters, 2)
    ]
    nothing = [
        Query(types=("no.such",)),
        Query(types=("node.named",)),
        Query(actor="nobody"),
        Query(entity="node:none"),
        Query(correlation="none"),
        Query(from_ms=2**46),
        Query(to_ms=0),
    ]
    made = [Query(**{name: filters[name] for name in names}) for names in chosen]  # type: ignore[arg-type]
    return [Query(), *made, *nothing]


def test_no_page_reads_more_than_what_it_needs(ledger: tuple[Path, Scene]) -> None:
    path, scene = ledger

    def work(reader: Reader) -> None:
        for query, backwards in itertools.product(queries(scene), (False, True)):
            for cursor in (Cursor(), MIDDLE):
                machine = Machine()
                selection = Selection(reader, query)
                page = selection.backwards if backwards else selection.forwards
                with machine.watching(reader):
                    page(cursor, LIMIT)
                assert machine.steps <= STEPS_A_PAGE, (query, backwards, cursor)
                for plan in machine.plans(reader):
                    big = ("SCAN entries", "SCAN e ", "SCAN seals", "TEMP B-TREE")
                    # Provisional entries of one clock are sorted by their chains.
                    assert "entries_pending" in plan or not any(x in plan for x in big), plan

    reading(path, work)


def test_a_start_reads_no_entry_that_is_sealed(ledger: tuple[Path, Scene]) -> None:
    path, _ = ledger

    def work(reader: Reader) -> None:
        machine = Machine()
        with machine.watching(reader):
            ends = ends_of(reader)
            assert len(ends.heads) == len(ends.sealed) == 2
            assert (ends.unsealed, ends.unsure) == ({}, frozenset())
            assert reader.last_seal() is not None
        assert machine.steps <= STEPS_A_PAGE

    reading(path, work)


def test_an_entry_is_found_by_its_id_wherever_it_is(tmp_path: Path) -> None:
    path, scene = tmp_path / "l.db", Scene()
    for _ in range(ENTRIES):
        scene.add(ANN)
    keeps = [scene.keep(), scene.seal()]
    for _ in range(ENTRIES):
        scene.add(ANN)
    keeps.append(scene.keep())

    def work(reader: Reader) -> None:
        for one in (scene.sealed[100], scene.open[100]):
            machine = Machine()
            with machine.watching(reader):
                assert reader.entry(one.id).entry == one
            assert machine.steps <= STEPS_A_PAGE
        # Sealing gives an entry a place in the large index, and takes it out of the small one.
        found = reader.connection.execute(
            f"SELECT count(*) FROM entries INDEXED BY entries_short_pending WHERE id >= {PENDING}"
        )
        assert found.fetchone() == (len(scene.open),)

    async def fill(store: LedgerStore) -> None:
        await store.keep(*keeps)
        await store.read(work)

    using(path, fill)


def test_the_last_seal_with_something_so_old_is_found_wherever_it_is(tmp_path: Path) -> None:
    scene, keeps, earliest = Scene(), [], {}
    scene.add(BOB)
    late = scene.open.pop()  # sealed much later than it was written
    for n in range(1, 10):
        scene.add(ANN)
        if n == 7:
            scene.open.append(late)
        if n == 4:
            scene.clock += 3_000 << 16
        earliest[n] = min(one.body.hlc for one in scene.open)
        keeps += [scene.keep(), scene.seal()]

    async def work(store: LedgerStore) -> None:
        await store.keep(*keeps)
        for clock in (one.body.hlc for one in scene.entries):
            for hlc in (clock - 1, clock, clock + 1):
                wanted = max(
                    (height for height, least in earliest.items() if least <= hlc), default=0
                )
                assert await store.read(partial(Reader.last_height_with, hlc=hlc)) == wanted

    using(tmp_path / "l.db", work)
    assert late in scene.sealed
