"""Queries find what fits, in one order, page by page, whatever is sealed meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ledger.entries import ANN, BOB, START
from tests.ledger.store_making import Scene, fact, using

from buildnet.ledger import query as queries
from buildnet.ledger.entry import Entry
from buildnet.ledger.postings import changed, offered, withdrawn
from buildnet.ledger.query import Cursor, Provisional, Query, QueryError
from buildnet.ledger.store import selecting
from buildnet.ledger.store.entity_state import EntityState
from buildnet.ledger.store.store import LedgerStore
from buildnet.ledger.store.vault import Vault
from buildnet.mesh.identity import node_id_of


async def ids(
    store: LedgerStore, query: Query, *, limit: int = 3, backwards: bool = False
) -> list[str]:
    found: list[str] = []
    cursor: Cursor | None = None
    while True:
        page = await store.query(query, cursor=cursor, limit=limit, backwards=backwards)
        found += [one.entry.id for one in page.entries]
        assert len(page.entries) <= limit
        if page.next is None:
            return found
        cursor = Cursor.parse(str(page.next))


def names(entries: list[Entry]) -> list[str]:
    return [one.id for one in entries]


def test_each_filter_finds_exactly_what_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selecting, "BUDGET", 7)
    scene = Scene()
    keeps = []
    for n in range(8):
        who = BOB if n % 3 == 0 else ANN
        kind = ("build.started", "build.failed", "builder.made")[n % 3]
        data = {"build": f"b{n % 2}", "Words": f"Oak {n}"}
        scene.add(who, type=kind, entity=f"node:{n % 2}", correlation=f"c{n % 4}", data=data)
        if n in (2, 5):
            keeps += [scene.keep(), scene.seal()]
    keeps.append(scene.keep())
    order = scene.sealed + sorted(scene.open, key=lambda one: one.order)
    middle = order[6].body.hlc >> 16

    def build(one: Entry) -> str | None:
        found: str | None = one.data.get("build")
        return found

    cases: dict[Query, Callable[[Entry], bool]] = {
        Query(): lambda one: True,
        Query(types=("build.*",)): lambda one: one.body.type.startswith("build."),
        Query(types=("build.failed", "builder.made")): lambda one: (
            one.body.type in ("build.failed", "builder.made")
        ),
        Query(types=("nothing.*",)): lambda one: False,
        Query(origin=BOB.public_key.hex()[:16]): lambda one: one.body.origin == BOB.public_key,
        Query(actor="ann"): lambda one: True,
        Query(actor="nobody"): lambda one: False,
        Query(entity="node:1"): lambda one: one.body.entity == "node:1",
        Query(correlation="c2"): lambda one: one.body.correlation == "c2",
        Query(build="b0"): lambda one: build(one) == "b0",
        Query(from_ms=middle): lambda one: one.body.hlc >> 16 >= middle,
        Query(to_ms=middle): lambda one: one.body.hlc >> 16 <= middle,
        Query(text="oak 5"): lambda one: "Oak 5" in one.body.data,
        Query(sealed=True): lambda one: one in scene.sealed,
        Query(sealed=False): lambda one: one in scene.open,
        Query(types=("build.*",), entity="node:1", text="OAK"): lambda one: (
            one.body.type.startswith("build.") and one.body.entity == "node:1"
        ),
    }

    async def work(store: LedgerStore) -> None:
        for what in keeps:
            await store.keep(what)
        for query, fits in cases.items():
            wanted = names([one for one in order if fits(one)])
            for limit in (1, 3, 100):
                assert await ids(store, query, limit=limit) == wanted, query
                backwards = await ids(store, query, limit=limit, backwards=True)
                assert backwards == wanted[::-1], query

    using(tmp_path / "l.db", work)


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize("vault", [None, Vault(b"k" * 32)])
def test_a_text_is_looked_for_bit_by_bit_and_each_page_tells_how_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vault: Vault | None, sealed: bool
) -> None:
    monkeypatch.setattr(selecting, "BUDGET", 4)
    scene = Scene()
    for n in range(30):
        scene.add(ANN, data={"text": "Die Eiche" if n == 3 else "nothing"})
    keeps = [scene.keep(), *([scene.seal()] if sealed else [])]
    order = sorted(scene.entries, key=lambda one: one.order, reverse=True)

    async def work(store: LedgerStore) -> None:
        await store.keep(*keeps)
        clocks, found, cursor = [], [], None
        while True:
            page = await store.query(Query(text="eiche"), cursor=cursor, limit=9, backwards=True)
            found += [one.entry.data["text"] for one in page.entries]
            cursor = page.next
            if cursor is None:
                break
            assert page.looked_to is not None
            clocks.append(page.looked_to)
        assert page.looked_to is None
        assert found == ["Die Eiche"]
        assert len(clocks) > 5
        assert set(clocks) <= {one.body.hlc for one in order}
        assert clocks == sorted(set(clocks), reverse=True)

    using(tmp_path / "l.db", work, vault=vault)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("before", range(0, 7))
def test_what_is_sealed_between_two_pages_is_told_once(
    tmp_path: Path, before: int, backwards: bool
) -> None:
    scene = Scene()
    for n in range(3):
        scene.add(ANN, data={"n": n})
        scene.add(BOB, data={"n": n})
    first = [scene.keep(), scene.seal()]
    for n in range(3):
        scene.add(ANN, data={"n": n})
        scene.add(BOB, data={"n": n})
    second = [scene.keep()]
    there = names(scene.entries)

    async def work(store: LedgerStore) -> None:
        for what in first + second:
            await store.keep(what)
        found: list[str] = []
        cursor: Cursor | None = None
        pages = 0
        while pages == 0 or cursor is not None:
            page = await store.query(Query(), cursor=cursor, limit=2, backwards=backwards)
            found += names([one.entry for one in page.entries])
            cursor = page.next
            pages += 1
            if pages == before:
                await store.keep(scene.seal())
        assert len(found) == len(set(found))
        assert set(found) == set(there)

    using(tmp_path / "l.db", work)


def test_a_tail_gets_what_is_sealed_after_its_cursor(tmp_path: Path) -> None:
    scene = Scene()
    scene.add(ANN)

    async def work(store: LedgerStore) -> None:
        await store.keep(scene.keep())
        await store.keep(scene.seal())
        page = await store.query(Query())
        late = scene.add(BOB)
        await store.keep(scene.keep())
        page = await store.query(Query(), cursor=page.sealed_to)
        assert [one.sealed for one in page.entries] == [False, False]
        await store.keep(scene.seal())
        page = await store.query(Query(), cursor=page.sealed_to)
        assert [(one.entry.id, one.height) for one in page.entries][-1] == (late.id, 2)
        page = await store.query(Query(), cursor=page.sealed_to)
        assert page.entries == ()

    using(tmp_path / "l.db", work)


def test_the_state_tells_the_books(tmp_path: Path) -> None:
    scene = Scene()
    me = f"node:{node_id_of(ANN.public_key)}"
    steps: list[dict[str, Any]] = [
        {"postings": offered(f"{me}/cores", "cores", 16)},
        {"postings": withdrawn(f"{me}/cores", "cores", 4)},
        {"postings": withdrawn(f"{me}/cores", "cores", 40)},  # void: so many are not there
        {"entity": "build:1", "postings": changed("build:1/0", None, "running")},
        {"entity": "build:1", "postings": changed("build:1/0", "running", "completed")},
        {"entity": "build:10", "postings": changed("build:10/0", None, "running")},
    ]

    def books(state: EntityState) -> dict[str, object]:
        rows = state.rows.get("accounts", ())
        found = {str(row["account"]): row["state"] or row["balances"] for row in rows}
        # What a build's account is called without its term.
        return {name: value for name, value in found.items() if "/" in name}

    def cores(free: int, all_of_them: int) -> dict[str, str]:
        return {
            f"{me}/cores/capacity": json.dumps({"cores": -all_of_them}),
            f"{me}/cores/free": json.dumps({"cores": free}),
        }

    async def work(store: LedgerStore) -> None:
        for step in steps:
            scene.add(ANN, **{"entity": me, **step})
            await store.keep(scene.keep())
            await store.keep(scene.seal())
        assert books(await store.state(me, height=1)) == cores(16, 16)
        for height in (2, 3, 6):
            assert books(await store.state(me, height=height)) == cores(12, 12)
        assert books(await store.state("build:1", height=3)) == {}
        assert books(await store.state("build:1", height=4)) == {"build:1/0": "running"}
        assert books(await store.state("build:1", height=5)) == {"build:1/0": "completed"}
        assert books(await store.state("build:1")) == {"build:1/0": "completed"}
        assert books(await store.state("build:10")) == {"build:10/0": "running"}

    using(tmp_path / "l.db", work)


def test_the_state_at_a_height_or_time_is_what_was_sealed_then(tmp_path: Path) -> None:
    scene = Scene()
    times = []
    for cores in (2, 4):
        kind = "config.created" if cores == 2 else "config.modified"
        scene.add(ANN, type=kind, entity="config:fast", data=fact({"cores": cores}, cores // 2 - 1))
        kept = [scene.keep(), scene.seal()]
        times.append((kept, scene.clock >> 16))
    void = scene.add(ANN, type="config.modified", entity="config:fast", data=fact({}, 1))
    scene.add(ANN, type="config.deleted", entity="config:fast", data=fact(None, 2))
    last = [scene.keep(), scene.seal()]

    async def work(store: LedgerStore) -> None:
        for what in [*times[0][0], *times[1][0], *last]:
            await store.keep(what)
        assert (await store.state("config:fast", height=0)).entry is None
        for height, (_, at_ms) in enumerate(times, 1):
            for state in (
                await store.state("config:fast", height=height),
                await store.state("config:fast", at_ms=at_ms),
            ):
                assert state.height == height
                assert state.data == fact({"cores": 2 * height}, height - 1)
                (row,) = state.rows["configurations"]
                assert row["config_data"] == f'{{"cores":{2 * height}}}'
        state = await store.state("config:fast")
        assert state.rows.get("configurations") is None
        assert state.data == fact(None, 2)
        assert state.void == (void.id,)
        assert await store.table("configurations") == []

    using(tmp_path / "l.db", work)


@given(
    place=st.integers(-1, 2**62),
    hlc=st.integers(0, 2**63 - 1),
    chain=st.binary(min_size=40, max_size=40),
    sequence=st.integers(1, 2**63 - 1),
    backwards=st.none() | st.integers(0, 2**62),
    among=st.booleans(),
)
@settings(max_examples=50)
def test_a_cursor_is_read_as_it_was_written(
    place: int, hlc: int, chain: bytes, sequence: int, backwards: int | None, among: bool
) -> None:
    cursor = Cursor(place, Provisional(hlc, chain, sequence) if among else None, backwards)
    assert Cursor.parse(str(cursor)) == cursor


@pytest.mark.parametrize("text", ["", "x", "1", "1.2.3", "-.-.1.00.1", "f" * 40 + ".-"])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(QueryError):
        Cursor.parse(text)


def test_filters_that_mean_nothing_are_refused() -> None:
    for make in (
        lambda: Query(types=("a b",)),
        lambda: Query(origin="xyz"),
        lambda: Query(from_ms=-1),
        lambda: Query(from_ms=2, to_ms=1),
        lambda: queries.check_limit(0),
        lambda: queries.check_limit(1001),
    ):
        with pytest.raises(QueryError):
            make()
    assert Query(from_ms=START >> 16).first_hlc == START
