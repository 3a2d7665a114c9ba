"""The file that can be checked proves itself, and nothing else passes: also not what somebody made
who knows how such a file is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from tests.ledger import entries, store_making
from tests.ledger.entries import ANN, BOB, START
from tests.ledger.store_making import Scene
from tests.mesh.member_network import CLUSTER as FOUNDING

from buildnet.ledger import checkable
from buildnet.ledger.checkable import MAGIC, Frame, verify_checkable, write_checkable
from buildnet.ledger.entry import Entry
from buildnet.ledger.export import ExportError, RewoundError, export
from buildnet.ledger.query import Query
from buildnet.ledger.seal import SealRecord
from buildnet.ledger.store.errors import LedgerDamagedError
from buildnet.ledger.store.store import LedgerStore
from buildnet.mesh import cbor
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
    """Entries of a cluster that was really founded."""
    monkeypatch.setattr(entries, "CLUSTER", ID)
    monkeypatch.setattr(store_making, "CLUSTER", ID)
    made = Scene()
    made.add(ANN)
    made.add(BOB, type="build.failed", entity="build:1")
    made.add(ANN)
    return made


async def fill(store: LedgerStore, scene: Scene) -> None:
    """Three seals, and a provisional entry."""
    for _ in range(3):
        await store.keep(scene.keep())
        await store.keep(scene.seal())
        scene.add(ANN)
        scene.add(BOB)
    await store.keep(scene.keep())


async def write(store: LedgerStore, path: Path) -> int:
    with path.open("xb") as file:
        return await write_checkable(store, file, lambda: LOG)


def written(tmp_path: Path, scene: Scene, *, prune: int = 0) -> Path:
    path = tmp_path / "ledger.export"

    async def work(store: LedgerStore) -> None:
        await fill(store, scene)
        if prune:
            await store.prune(prune)
        assert await write(store, path) == len(scene.sealed)
        with path.open("rb") as closed, pytest.raises(ExportError, match="can't be written"):
            await write_checkable(store, closed, lambda: LOG)

    store_making.using(tmp_path / "l.db", work)
    return path


def test_a_file_is_checked_without_a_node(tmp_path: Path, scene: Scene) -> None:
    path = written(tmp_path, scene)
    verdict = verify_checkable(path, SIGNATURES, cluster=ID)
    assert verdict.as_dict() == {
        "verified": True,
        "cluster_id": ID.hex(),
        "entries_checked": len(scene.sealed),
        "pruned": 0,
        "seals_checked": 3,
        "height": 3,
        "seal": scene.seals[-1].hash.hex(),
        "sealed_at": "2026-09-21T14:13:20.012+00:00",
        "errors": [],
    }
    other = verify_checkable(path, SIGNATURES, cluster=b"o" * 32)
    assert [one.what for one in other.errors] == ["it is of another cluster"]


def test_a_file_of_a_pruned_ledger_is_checked_by_its_hashes(tmp_path: Path, scene: Scene) -> None:
    path = written(tmp_path, scene, prune=2)
    verdict = verify_checkable(path, SIGNATURES, cluster=ID)
    assert verdict.errors == []
    assert verdict.pruned > 0
    assert verdict.entries_checked + verdict.pruned == len(scene.sealed)


def test_an_empty_ledger_is_an_empty_file_that_holds(tmp_path: Path, scene: Scene) -> None:
    path = tmp_path / "ledger.export"

    async def work(store: LedgerStore) -> None:
        assert await write(store, path) == 0

    store_making.using(tmp_path / "l.db", work)
    verdict = verify_checkable(path, SIGNATURES, cluster=ID)
    assert (verdict.verified, verdict.as_dict()["height"]) == (True, 0)


def test_no_changed_byte_and_no_missing_end_passes(tmp_path: Path, scene: Scene) -> None:
    path = written(tmp_path, scene)
    good = path.read_bytes()
    passed = []
    for at in range(0, len(good), 3):
        bad = bytearray(good)
        bad[at] ^= 1 << (at % 8)
        path.write_bytes(bad)
        try:
            if verify_checkable(path, SIGNATURES, cluster=ID).verified:
                passed.append(at)
        except ExportError:
            pass
    assert passed == []
    path.write_bytes(good[:-10])
    assert not verify_checkable(path, SIGNATURES, cluster=ID).verified
    path.write_bytes(b"something else")
    with pytest.raises(ExportError, match="no export"):
        verify_checkable(path, SIGNATURES)


def frames_of(content: bytes) -> list[Frame]:
    """Return the frames of a file, without its end."""
    found, at = [], len(MAGIC)
    while at < len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        kind, value = cbor.decode(content[at + 4 : at + 4 + size])
        found.append((str(kind), bytes(value)))
        at += 4 + size
    return found[:-1]


def file_of(frames: list[Frame]) -> bytes:
    """Return a whole file, with the end that it should have."""
    content = MAGIC
    for kind, value in frames:
        raw = cbor.encode([kind, value])
        content += len(raw).to_bytes(4, "big") + raw
    raw = cbor.encode(["end", blake3(content).digest()])
    return content + len(raw).to_bytes(4, "big") + raw


def places(frames: list[Frame], kind: str) -> list[int]:
    return [at for at, frame in enumerate(frames) if frame[0] == kind]


def drop_an_entry(frames: list[Frame]) -> None:
    del frames[places(frames, "entry")[1]]


def drop_all_of_a_seal(frames: list[Frame]) -> None:
    first, second = places(frames, "seal")[1:3]
    del frames[first:second]


def drop_the_entries_of_a_seal(frames: list[Frame]) -> None:
    first, second = places(frames, "seal")[1:3]
    del frames[first + 1 : second]


def reorder(frames: list[Frame]) -> None:
    one, other = places(frames, "entry")[:2]
    frames[one], frames[other] = frames[other], frames[one]


def repeat(frames: list[Frame]) -> None:
    at = places(frames, "entry")[-1]
    frames.insert(at, frames[at])


def add_a_hash(frames: list[Frame]) -> None:
    frames.append(("hash", b"h" * 32))


def swap_seals(frames: list[Frame]) -> None:
    one, other = places(frames, "seal")[:2]
    frames[one], frames[other] = frames[other], frames[one]


def move_an_entry_to_the_next_seal(frames: list[Frame]) -> None:
    at = places(frames, "seal")[1]
    frames[at - 1], frames[at] = frames[at], frames[at - 1]


def another_term(frames: list[Frame]) -> None:
    change_record(frames, lambda record: replace(record, term=record.term + 1))


def no_cosignature(frames: list[Frame]) -> None:
    def change(record: SealRecord) -> SealRecord:
        (one,) = record.cosignatures
        return replace(record, cosignatures=(replace(one, voter=BOB.public_key),))

    change_record(frames, change)


def another_signature(frames: list[Frame]) -> None:
    at = places(frames, "entry")[0]
    frames[at] = ("entry", bytes(64) + frames[at][1][64:])


def rewritten(frames: list[Frame]) -> None:
    """Its origin says something else today, and signs it."""
    at = places(frames, "entry")[0]
    body = Entry.decode(frames[at][1]).body
    frames[at] = ("entry", Entry.sign(replace(body, reason="really"), ANN.sign).signed)


def without_members(frames: list[Frame]) -> None:
    del frames[: len(places(frames, "members"))]


def members_twice(frames: list[Frame]) -> None:
    frames.insert(places(frames, "seal")[1], frames[0])


def unknown_frame(frames: list[Frame]) -> None:
    frames.append(("remark", b"trust me"))


def change_record(frames: list[Frame], change: Callable[[SealRecord], SealRecord]) -> None:
    at = places(frames, "seal")[1]
    frames[at] = ("seal", change(SealRecord.decode(frames[at][1])).encode())


CHEATS = [
    drop_an_entry, drop_all_of_a_seal, drop_the_entries_of_a_seal, reorder, repeat, add_a_hash,
    swap_seals, move_an_entry_to_the_next_seal, another_term, no_cosignature, another_signature,
    rewritten, without_members, members_twice, unknown_frame,
]  # fmt: skip


@pytest.mark.parametrize("cheat", CHEATS)
@pytest.mark.parametrize("prune", [0, 2])
def test_who_makes_a_file_anew_is_found_out(
    tmp_path: Path, scene: Scene, cheat: Callable[[list[Frame]], None], prune: int
) -> None:
    path = written(tmp_path, scene, prune=prune)
    frames = frames_of(path.read_bytes())
    assert file_of(frames) == path.read_bytes()
    cheat(frames)
    path.write_bytes(file_of(frames))
    verdict = verify_checkable(path, SIGNATURES, cluster=ID)
    assert verdict.errors
    assert len(verdict.errors) < 10


def test_what_is_called_pruned_is_counted(tmp_path: Path, scene: Scene) -> None:
    """Whoever hides an entry can't hide that there was one."""
    path = written(tmp_path, scene)
    frames = frames_of(path.read_bytes())
    at = places(frames, "entry")[2]
    frames[at] = ("hash", Entry.decode(frames[at][1]).hash)
    path.write_bytes(file_of(frames))
    verdict = verify_checkable(path, SIGNATURES, cluster=ID)
    assert (verdict.errors, verdict.pruned) == ([], 1)
    assert verdict.entries_checked == len(scene.sealed) - 1


def test_a_file_that_was_cut_after_a_seal_says_where_it_ends(tmp_path: Path, scene: Scene) -> None:
    path = written(tmp_path, scene)
    frames = frames_of(path.read_bytes())
    path.write_bytes(file_of(frames[: places(frames, "seal")[2]]))
    verdict = verify_checkable(path, SIGNATURES, cluster=ID)
    assert (verdict.errors, verdict.as_dict()["height"]) == ([], 2)


@pytest.mark.parametrize("form", ["json", "ndjson", "csv"])
def test_who_tries_to_check_another_form_is_told_which_one_can_be(
    tmp_path: Path, scene: Scene, form: str
) -> None:
    path = tmp_path / "text"

    async def work(store: LedgerStore) -> None:
        await fill(store, scene)
        path.write_text("".join([part async for part in export(store, Query(), form)]))

    store_making.using(tmp_path / "l.db", work)
    with pytest.raises(ExportError, match="can't be checked") as error:
        verify_checkable(path, SIGNATURES)
    assert "--format checkable" in (error.value.hint or "")


def test_seals_that_others_made_do_not_pass(tmp_path: Path, scene: Scene) -> None:
    """A file that is whole, but whose seals were cosigned by who is no voter."""
    path = tmp_path / "ledger.export"

    async def work(store: LedgerStore) -> None:
        await store.keep(scene.keep())
        await store.keep(scene.seal(voters=[BOB]))
        await write(store, path)

    store_making.using(tmp_path / "l.db", work)
    errors = verify_checkable(path, SIGNATURES).errors
    assert [(one.where, one.what) for one in errors] == [("seal 1", "other voters")]


def test_voters_that_sealed_half_a_chain_are_not_believed(tmp_path: Path, scene: Scene) -> None:
    """Its origin's signature is right, and so is the seal, but an entry between is missing."""
    path = tmp_path / "ledger.export"
    scene.open = [scene.open[0], scene.open[-1]]

    async def work(store: LedgerStore) -> None:
        await store.keep(scene.keep())
        await store.keep(scene.seal())
        scene.tips.clear()
        await write(store, path)

    skipped = scene.open[-1].body
    body = replace(skipped, sequence=skipped.sequence + 1)
    scene.open[-1] = Entry.sign(body, ANN.sign)
    store_making.using(tmp_path / "l.db", work)
    errors = verify_checkable(path, SIGNATURES).errors
    assert "entries of its chains are missing" in errors[-1].what


def while_writing(
    tmp_path: Path, scene: Scene, monkeypatch: pytest.MonkeyPatch, happens: Callable[..., Any]
) -> Path:
    """Write a file, one seal at a time; ``happens`` is awaited before each reading."""
    monkeypatch.setattr(checkable, "_ENTRIES_AT_ONCE", 1)
    path = tmp_path / "ledger.export"

    async def work(store: LedgerStore) -> None:
        await fill(store, scene)
        read = store.read

        async def reading(work: Callable[..., object]) -> object:
            found = await read(work)
            with monkeypatch.context() as usual:
                usual.setattr(store, "read", read)
                await happens(store)
            return found

        monkeypatch.setattr(store, "read", reading)
        await write(store, path)

    store_making.using(tmp_path / "l.db", work)
    return path


def test_seals_that_come_while_a_file_is_written_are_not_in_it(
    tmp_path: Path, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def one_more(store: LedgerStore) -> None:
        await store.keep(scene.seal())
        scene.add(ANN)
        await store.keep(scene.keep())

    path = while_writing(tmp_path, scene, monkeypatch, one_more)
    verdict = verify_checkable(path, SIGNATURES, cluster=ID)
    assert (verdict.errors, verdict.as_dict()["height"]) == ([], 3)


def test_a_file_of_what_was_pruned_while_it_was_written_holds(
    tmp_path: Path, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def prune(store: LedgerStore) -> None:
        await store.prune(3)

    path = while_writing(tmp_path, scene, monkeypatch, prune)
    verdict = verify_checkable(path, SIGNATURES, cluster=ID)
    assert verdict.errors == []
    assert verdict.pruned


def test_no_file_is_made_of_seals_that_were_taken_back_meanwhile(
    tmp_path: Path, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def take_back(store: LedgerStore) -> None:
        await store.rewind(3)

    with pytest.raises((RewoundError, LedgerDamagedError)):
        while_writing(tmp_path, scene, monkeypatch, take_back)
