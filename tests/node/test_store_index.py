"""The index file: made anew from the blobs, kept exact, refused when it is not usable."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from buildnet.mesh.digest import Digest
from buildnet.node.store import ActionRecord, StateError, Store, VerifyReport
from buildnet.node.store.index import GATHERED_MAX
from buildnet.node.store.journal import Journal

STAGED = frozenset({"staged"})


def fill(directory: Path, count: int = 5) -> list[Digest]:
    with Store.open(directory, 1 << 30) as store:
        digests = [store.put(b"blob %d" % number) for number in range(count)]
        store.put_action(
            ActionRecord(digests[0], b"", "staged", b"", b"", 0.0, 0, "core", tuple(digests))
        )
    return digests


def listing(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def alter(index: Path, *statements: str) -> None:
    connection = sqlite3.connect(index, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def path_of(directory: Path, digest: Digest) -> Path:
    return directory / "blobs" / digest.hash[:2] / digest.hash


def test_a_new_index_adopts_the_blobs(tmp_path: Path) -> None:
    digests = fill(tmp_path, count=GATHERED_MAX + 10)
    os.utime(path_of(tmp_path, digests[3]), (1_000_000_000, 1_000_000_000))
    (tmp_path / "index.db").unlink()
    (tmp_path / "blobs/ab").mkdir(exist_ok=True)
    (tmp_path / "blobs/ab/notes.txt").write_text("not a blob")
    with Store.open(tmp_path, 1 << 30) as store:
        stats = store.stats()
        assert (stats.blobs, stats.actions) == (len(digests), 0)
        assert stats.bytes == sum(digest.size_bytes for digest in digests)
        assert stats.oldest_used_at == 1_000_000_000
        assert store.missing(digests) == set()
        assert store.verify().repaired == 0
    assert (tmp_path / "blobs/ab/notes.txt").exists()


def test_an_adoption_that_was_interrupted_is_finished_at_the_next_start(tmp_path: Path) -> None:
    digests = fill(tmp_path)
    alter(
        tmp_path / "index.db",
        "DELETE FROM totals",
        f"DELETE FROM blobs WHERE hash > x'{sorted(digests)[1].hash}'",
    )
    with Store.open(tmp_path, 1 << 30) as store:
        assert store.stats().blobs == 5
        assert store.verify().repaired == 0


def test_what_was_put_last_before_a_kill_is_adopted(tmp_path: Path) -> None:
    fill(tmp_path)
    data = b"renamed, its row never committed"
    digest = Digest.of(data)
    never = Digest.of(b"journaled, killed before the rename")
    for blob in (digest, never):
        journal = Journal(tmp_path / "puts.journal")
        journal.add([blob])
        journal.close()
    with (tmp_path / "puts.journal").open("r+b") as journal_file:
        journal_file.seek(2 * 40)
        journal_file.write(b"torn")
    path_of(tmp_path, digest).parent.mkdir(exist_ok=True)
    path_of(tmp_path, digest).write_bytes(data)
    with Store.open(tmp_path, 1 << 30) as store:
        assert store.stats().blobs == 6
        assert store.show(digest.hash)
        assert store.missing([never]) == {never}
    assert Journal(tmp_path / "puts.journal").read() == []


@pytest.mark.parametrize("harm", ["text", "header", "page", "tail"])
def test_a_damaged_index_is_refused_with_a_remedy_and_left_alone(tmp_path: Path, harm: str) -> None:
    digests = fill(tmp_path, count=200)
    index = tmp_path / "index.db"
    data = bytearray(index.read_bytes())
    if harm == "text":
        data = bytearray(b"this is not a database, it is a text of some length\n" * 100)
    elif harm == "header":
        data[0:16] = b"\0" * 16
    elif harm == "page":
        data[100:4096] = os.urandom(3996)  # the schema
    else:
        data = data[: len(data) // 2]
    index.write_bytes(data)
    before = listing(tmp_path)
    # At the start, or when it is met.
    with pytest.raises(StateError) as error, Store.open(tmp_path, 1 << 30) as store:
        store.verify()
    assert str(index) in error.value.message
    assert error.value.hint is not None
    assert "aside" in error.value.hint
    after = listing(tmp_path)
    assert {name: after[name] for name in before} == before

    index.rename(tmp_path / "index.db.damaged")  # the remedy
    with Store.open(tmp_path, 1 << 30) as store:
        assert store.missing(digests) == set()


def test_an_empty_index_file_is_a_new_one(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "index.db").write_bytes(b"")
    with Store.open(tmp_path, 1 << 30) as store:
        assert store.stats().blobs == 5


def test_an_index_of_a_newer_program_is_left_alone(tmp_path: Path) -> None:
    fill(tmp_path)
    alter(tmp_path / "index.db", "PRAGMA user_version = 99", "CREATE TABLE newer (x)")
    before = listing(tmp_path)
    with pytest.raises(StateError, match="newer BuildNet") as error:
        Store.open(tmp_path, 1 << 30)
    assert error.value.cause is not None
    assert "99" in error.value.cause
    assert listing(tmp_path) == before


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    alter(tmp_path / "index.db", "CREATE TABLE notes (text)")
    before = listing(tmp_path)
    with pytest.raises(StateError) as error:
        Store.open(tmp_path, 1 << 30)
    assert error.value.cause == "it is a database of another program"
    assert listing(tmp_path)[str(tmp_path / "index.db")] == before[str(tmp_path / "index.db")]


def test_a_store_that_is_open_cannot_be_opened_again(tmp_path: Path) -> None:
    with Store.open(tmp_path, 1 << 30) as store:
        digest = store.put(b"x")
        unfinished = tmp_path / "tmp" / "being-written"
        unfinished.write_bytes(b"half")
        with pytest.raises(StateError, match="in use"):
            Store.open(tmp_path, 1 << 30)
        assert unfinished.exists()
        assert store.get(digest) == b"x"


def test_the_parent_that_is_a_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StateError, match="file/store"):
        Store.open(tmp_path / "file" / "store", 1 << 30)


def verified(store: Store) -> tuple[VerifyReport, list[tuple[int, int]]]:
    progress: list[tuple[int, int]] = []
    report = store.verify(lambda checked, total: progress.append((checked, total)))
    return report, progress


def test_verification_finds_and_repairs_what_does_not_agree(tmp_path: Path) -> None:
    digests = fill(tmp_path, count=20)
    good, flipped, short, gone, unknown, other = digests[:6]
    data = bytearray(path_of(tmp_path, flipped).read_bytes())
    data[0] ^= 1
    for digest, content in ((flipped, bytes(data)), (short, b"bl")):
        path_of(tmp_path, digest).unlink()
        path_of(tmp_path, digest).write_bytes(content)
    path_of(tmp_path, gone).unlink()
    path_of(tmp_path, other).unlink()
    path_of(tmp_path, other).mkdir()
    alter(
        tmp_path / "index.db",
        f"DELETE FROM blobs WHERE hash = x'{unknown.hash}'",
        "UPDATE totals SET blobs = 7, bytes = 7",
    )
    with Store.open(tmp_path, 1 << 30) as store:
        report, progress = verified(store)
        assert report.checked == 19
        assert sorted(report.damaged) == sorted([flipped.hash, short.hash, other.hash])
        assert report.missing == (gone.hash,)
        assert report.orphans == (unknown.hash,)
        assert report.repaired == 3 + 1 + 1 + 1 + 1  # rows, an adoption, the result, the totals
        assert not report.cancelled
        assert [checked for checked, _ in progress] == list(range(1, 20))
        assert all(checked <= total for checked, total in progress)
        stats = store.stats()
        assert (stats.blobs, stats.actions) == (16, 0)
        assert stats.bytes == sum(path.stat().st_size for path in tmp_path.glob("blobs/*/*"))
        assert store.missing([good, unknown]) == set()
        again, _ = verified(store)
        assert (again.checked, again.damaged, again.missing, again.orphans, again.repaired) == (
            16, (), (), (), 0,
        )  # fmt: skip


def test_verification_can_be_cancelled(tmp_path: Path) -> None:
    fill(tmp_path, count=20)
    seen: list[int] = []
    with Store.open(tmp_path, 1 << 30) as store:
        report = store.verify(lambda checked, total: seen.append(checked), lambda: len(seen) == 7)
        assert report.cancelled
        assert report.checked == 7
        assert report.missing == ()
        assert store.stats().blobs == 20


def test_verification_does_not_drop_what_is_put_meanwhile(tmp_path: Path) -> None:
    fill(tmp_path, count=20)
    with Store.open(tmp_path, 1 << 30) as store:
        put: list[Digest] = []
        report = store.verify(lambda checked, total: put.append(store.put(b"during %d" % checked)))
        assert (report.damaged, report.missing, report.orphans, report.repaired) == ((), (), (), 0)
        assert store.missing(put) == set()


def test_verification_does_not_drop_the_row_of_a_blob_that_comes_back(tmp_path: Path) -> None:
    """A blob that was missing when its directory was listed and is put again before its row is
    looked at."""
    by_prefix: dict[str, bytes] = {}
    number = 0
    while True:  # two contents in the same directory
        data = b"content %d" % number
        prefix = Digest.of(data).hash[:2]
        if prefix in by_prefix:
            break
        by_prefix[prefix] = data
        number += 1
    with Store.open(tmp_path, 1 << 30) as store:
        store.put(data)
        back = store.put(by_prefix[prefix])
        path_of(tmp_path, back).unlink()
        report = store.verify(lambda checked, total: store.put(by_prefix[prefix]) and None)
        assert (report.checked, report.missing, report.repaired) == (1, (), 0)
        assert store.missing([back]) == set()


def test_a_transaction_that_fails_changes_nothing_and_loses_nothing(tmp_path: Path) -> None:
    with Store.open(tmp_path, 1 << 30) as store:
        gone, back = store.put(b"gone"), store.put(b"back")
        store._index.flush()
        kept = store.put(b"gathered")

        def fail(connection: sqlite3.Connection) -> int:
            assert connection.execute("SELECT count(*) FROM blobs").fetchone() == (1,)
            raise OSError("no more")

        for digest in (gone, back):
            path_of(tmp_path, digest).unlink()
        with pytest.raises(OSError, match="no more"):
            store._index.drop([bytes.fromhex(each.hash) for each in (gone, back)], fail)
        assert store._index.totals.bytes == 16
        store.put(b"back")
        assert (store.stats().blobs, store.stats().bytes) == (2, 12)
        assert store.missing([gone, back, kept]) == {gone}
        assert store.verify().repaired == 0
