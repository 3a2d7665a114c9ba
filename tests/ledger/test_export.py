"""Exports say what the ledger says; the checkable file proves itself, and nothing else passes."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from tests.ledger import entries, store_making
from tests.ledger.entries import ANN, BOB, START
from tests.ledger.store_making import Scene
from tests.mesh.member_network import CLUSTER as FOUNDING

from buildnet.ledger.entry import Entry
from buildnet.ledger.export import ExportError, Verdict, export, verify_export, write_export
from buildnet.ledger.query import Query
from buildnet.ledger.store.store import LedgerStore
from buildnet.mesh.members.chain import Chain
from buildnet.mesh.members.entry import CommitProof
from buildnet.mesh.members.member_list import MemberList
from buildnet.mesh.testing import CheapSignatures

MEMBERS = MemberList.found(
    FOUNDING, ANN, name="shop", founder_name="ann", created=START, nonce=bytes(16)
)
LOG = Chain(MEMBERS.genesis, (), CommitProof(0, bytes(32), 0, MEMBERS.head, ()))
ID = MEMBERS.cluster_id
SIGNATURES = CheapSignatures(ANN.public_key)


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Two seals and a provisional entry of a cluster that was really founded."""
    monkeypatch.setattr(entries, "CLUSTER", ID)
    monkeypatch.setattr(store_making, "CLUSTER", ID)
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
    else:
        found = json.loads(text) if form == "json" else [*map(json.loads, text.splitlines())]
        assert "=1+1" in [one["reason"] for one in found]
        assert [one["data"] for one in found] == [one.data for one in told(scene)]
        assert [one["sealed"] for one in found] == [True] * len(scene.sealed) + [False]
    assert [one["id"] for one in found] == [one.id for one in told(scene)]


def test_an_export_of_nothing_is_empty_and_an_unknown_form_is_refused(tmp_path: Path) -> None:
    async def work(store: LedgerStore) -> None:
        assert json.loads("".join([part async for part in export(store, Query(), "json")])) == []
        with pytest.raises(ExportError, match="no export form"):
            [part async for part in export(store, Query(), "xml")]

    store_making.using(tmp_path / "l.db", work)


def written(tmp_path: Path, scene: Scene, *, prune: int = 0) -> Path:
    path = tmp_path / "ledger.export"

    async def work(store: LedgerStore) -> None:
        await fill(store, scene)
        if prune:
            await store.prune(prune)
        assert await write_export(store, path, LOG) == len(scene.sealed)
        with pytest.raises(ExportError, match="can't be written"):
            await write_export(store, path, LOG)

    store_making.using(tmp_path / "l.db", work)
    return path


def test_a_file_is_checked_without_a_node(tmp_path: Path, scene: Scene) -> None:
    path = written(tmp_path, scene)
    assert verify_export(path, SIGNATURES, cluster=ID) == Verdict(ID, len(scene.sealed), 0, 2, [])
    other = verify_export(path, SIGNATURES, cluster=b"o" * 32)
    assert other.errors == ["the file is of another cluster"]


def test_a_file_of_a_pruned_ledger_is_checked_by_its_hashes(tmp_path: Path, scene: Scene) -> None:
    path = written(tmp_path, scene, prune=1)
    verdict = verify_export(path, SIGNATURES, cluster=ID)
    assert verdict.errors == []
    assert verdict.pruned > 0
    assert verdict.entries_checked + verdict.pruned == len(scene.sealed)


def test_no_changed_byte_and_no_missing_end_passes(tmp_path: Path, scene: Scene) -> None:
    path = written(tmp_path, scene)
    good = path.read_bytes()
    passed = []
    for at in range(0, len(good), 3):
        bad = bytearray(good)
        bad[at] ^= 1 << (at % 8)
        path.write_bytes(bad)
        try:
            if verify_export(path, SIGNATURES, cluster=ID).verified:
                passed.append(at)
        except ExportError:
            pass
    assert passed == []
    path.write_bytes(good[:-10])
    assert not verify_export(path, SIGNATURES, cluster=ID).verified
    path.write_bytes(b"something else")
    with pytest.raises(ExportError, match="no export"):
        verify_export(path, SIGNATURES)


def test_seals_that_others_made_do_not_pass(tmp_path: Path, scene: Scene) -> None:
    """A file that is whole, but whose seals were cosigned by who is no voter."""
    path = tmp_path / "ledger.export"

    async def work(store: LedgerStore) -> None:
        await store.keep(scene.keep())
        await store.keep(scene.seal(voters=[BOB]))
        await write_export(store, path, LOG)

    store_making.using(tmp_path / "l.db", work)
    assert verify_export(path, SIGNATURES).errors == ["seal 1: other voters"]


def told(scene: Scene) -> list[Entry]:
    return scene.sealed + sorted(scene.open, key=lambda one: one.order)
