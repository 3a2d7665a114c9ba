"""Exports say what the ledger says, of one moment, in one shape."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from tests.ledger import store_making
from tests.ledger.entries import ANN, BOB
from tests.ledger.store_making import Scene

from buildnet.ledger import export as module
from buildnet.ledger.entry import Entry
from buildnet.ledger.entry_view import entry_view
from buildnet.ledger.export import ExportError, RewoundError, export
from buildnet.ledger.query import Query
from buildnet.ledger.store.rows import StoredEntry
from buildnet.ledger.store.store import LedgerStore


@pytest.fixture
def scene() -> Scene:
    """Two entries of two nodes, not sealed yet."""
    made = Scene()
    made.add(ANN, reason="=1+1", data={"Äpfel": [1, "two"]})
    made.add(BOB, type="build.failed", entity="build:1")
    return made


async def fill(store: LedgerStore, scene: Scene) -> None:
    for _ in range(2):
        await store.keep(scene.keep())
        await store.keep(scene.seal())
        scene.add(ANN)
    await store.keep(scene.keep())


@pytest.mark.parametrize("form", ["json", "ndjson", "csv"])
def test_every_form_tells_all_entries_in_their_order(
    tmp_path: Path, scene: Scene, form: str
) -> None:
    async def work(store: LedgerStore) -> str:
        await fill(store, scene)
        return "".join([part async for part in export(store, Query(), form)])

    text = store_making.using(tmp_path / "l.db", work)
    if form == "csv":
        found = list(csv.DictReader(io.StringIO(text)))
        assert "'=1+1" in [one["reason"] for one in found]
        assert [json.loads(one["data"]) for one in found] == [one.data for one in told(scene)]
        assert [one["sealed"] for one in found] == [*map(str, heights(scene)), ""]
    else:
        found = json.loads(text) if form == "json" else [*map(json.loads, text.splitlines())]
        assert "=1+1" in [one["reason"] for one in found]
        assert [one["data"] for one in found] == [one.data for one in told(scene)]
        assert [one["sealed"] for one in found] == [*heights(scene), None]
        assert "height" not in found[0]
        assert found[-1].keys() == entry_view(StoredEntry(scene.open[0])).keys()
    assert [one["id"] for one in found] == [one.id for one in told(scene)]


def test_an_export_of_nothing_is_empty_and_an_unknown_form_is_refused(tmp_path: Path) -> None:
    async def work(store: LedgerStore) -> None:
        assert json.loads("".join([part async for part in export(store, Query(), "json")])) == []
        with pytest.raises(ExportError, match="no export form"):
            [part async for part in export(store, Query(), "xml")]

    store_making.using(tmp_path / "l.db", work)


def told(scene: Scene) -> list[Entry]:
    return scene.sealed + sorted(scene.open, key=lambda one: one.order)


def heights(scene: Scene) -> list[int]:
    first, *rest = scene.seals
    return [one.height for one in (first, *rest) for _ in range(one.value.count)]


@pytest.mark.parametrize("sealed", [None, True, False])
def test_what_comes_while_an_export_is_made_is_not_in_it(
    tmp_path: Path, scene: Scene, monkeypatch: pytest.MonkeyPatch, sealed: bool | None
) -> None:
    """Everything provisional is sealed, and more comes, between any two entries."""
    monkeypatch.setattr(module, "_PAGE", 1)
    query = Query(sealed=sealed)

    async def work(store: LedgerStore) -> tuple[str, str]:
        await fill(store, scene)
        before = "".join([part async for part in export(store, query, "ndjson")])
        found = []
        async for part in export(store, query, "ndjson"):
            found.append(part)
            await store.keep(scene.seal())
            scene.add(ANN)
            await store.keep(scene.keep())
        return before, "".join(found)

    before, meanwhile = store_making.using(tmp_path / "l.db", work)
    assert before
    assert meanwhile == before


def test_an_export_of_what_was_taken_back_meanwhile_ends_with_an_error(
    tmp_path: Path, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAGE", 1)

    async def work(store: LedgerStore) -> None:
        await fill(store, scene)
        parts = export(store, Query(), "ndjson")
        await anext(parts)
        await store.rewind(2)
        with pytest.raises(RewoundError, match="recovered"):
            [part async for part in parts]

    store_making.using(tmp_path / "l.db", work)
