"""The stat table: what is trusted, what is racy, what survives."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from buildnet.mesh.digest import Digest
from buildnet.node.store.database import Database
from buildnet.node.store.files import RACY_COARSE_NS, RACY_NS, FileTable

DIGEST = Digest.of(b"hello")
OLD_NS = 1_700_000_000_123_456_789


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(tmp_path / "index.db")
    yield database
    database.close()


def stat_with(path: Path, **changes: int) -> os.stat_result:
    """A real file's stat with some fields replaced (times in nanoseconds)."""
    real = path.stat()
    fields: dict[str, Any] = {
        name: getattr(real, name) for name in dir(real) if name.startswith("st_")
    }
    fields |= changes
    ordered = ("mode", "ino", "dev", "nlink", "uid", "gid", "size")
    ten = [fields[f"st_{name}"] for name in ordered] + [0, 0, 0]
    return os.stat_result(
        ten,
        {name: value for name, value in fields.items() if name.endswith("time_ns")}
        | {"st_atime": 0.0, "st_mtime": 0.0, "st_ctime": 0.0},
    )


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    path.write_bytes(b"hello")
    return path


def settled(path: Path) -> os.stat_result:
    return stat_with(path, st_mtime_ns=OLD_NS, st_ctime_ns=OLD_NS)


def test_a_recorded_file_is_known_until_any_field_of_its_stat_changes(
    database: Database, source: Path
) -> None:
    table = FileTable(database, "shop")
    stat = settled(source)
    assert table.lookup("a.txt", stat) is None
    table.record("a.txt", stat, DIGEST, OLD_NS + RACY_NS)
    assert table.lookup("a.txt", stat) == DIGEST
    for field in ("st_dev", "st_ino", "st_mode", "st_size", "st_mtime_ns", "st_ctime_ns"):
        base = {"st_mtime_ns": OLD_NS, "st_ctime_ns": OLD_NS}
        base[field] = base.get(field, getattr(stat, field)) + 1
        assert table.lookup("a.txt", stat_with(source, **base)) is None, field
    assert table.previous("a.txt") == DIGEST
    assert table.previous("b.txt") is None


@pytest.mark.parametrize("stamp", ["st_mtime_ns", "st_ctime_ns"])
def test_a_file_read_within_a_tick_of_its_change_is_never_trusted(
    database: Database, source: Path, stamp: str
) -> None:
    table = FileTable(database, "shop")
    stat = stat_with(
        source,
        **({"st_mtime_ns": OLD_NS - 10**12, "st_ctime_ns": OLD_NS - 10**12} | {stamp: OLD_NS}),
    )
    table.record("a.txt", stat, DIGEST, OLD_NS + RACY_NS - 1)
    assert table.lookup("a.txt", stat) is None
    assert table.previous("a.txt") == DIGEST
    table.record("a.txt", stat, DIGEST, OLD_NS + RACY_NS)
    assert table.lookup("a.txt", stat) == DIGEST


def test_stamps_of_whole_seconds_are_treated_as_two_seconds_coarse(
    database: Database, source: Path
) -> None:
    table = FileTable(database, "shop")
    whole = OLD_NS // 10**9 * 10**9
    stat = stat_with(source, st_mtime_ns=whole, st_ctime_ns=whole)
    table.record("a.txt", stat, DIGEST, whole + RACY_COARSE_NS - 1)
    assert table.lookup("a.txt", stat) is None
    table.record("a.txt", stat, DIGEST, whole + RACY_COARSE_NS)
    assert table.lookup("a.txt", stat) == DIGEST


def test_a_stamp_from_the_future_is_not_trusted(database: Database, source: Path) -> None:
    table = FileTable(database, "shop")
    stat = stat_with(source, st_mtime_ns=OLD_NS + 10**15, st_ctime_ns=OLD_NS)
    table.record("a.txt", stat, DIGEST, OLD_NS + 10**10)
    assert table.lookup("a.txt", stat) is None


def test_a_digest_of_another_size_than_the_file_is_not_trusted(
    database: Database, source: Path
) -> None:
    table = FileTable(database, "shop")
    stat = settled(source)
    table.record("a.txt", stat, Digest.of(b"grew while it was read"), OLD_NS + 10**10)
    assert table.lookup("a.txt", stat) is None
    assert table.previous("a.txt") == Digest.of(b"grew while it was read")


def test_stamps_before_1970_and_after_2262_are_kept(database: Database, source: Path) -> None:
    table = FileTable(database, "shop")
    ancient = stat_with(source, st_mtime_ns=-5_000_000_001, st_ctime_ns=OLD_NS)
    table.record("a.txt", ancient, DIGEST, OLD_NS + 10**10)
    assert table.lookup("a.txt", ancient) == DIGEST
    distant = stat_with(source, st_mtime_ns=2**64 - 1, st_ctime_ns=OLD_NS)
    table.record("a.txt", distant, DIGEST, 2**64 + 10**10)
    assert table.lookup("a.txt", distant) == DIGEST


def test_an_edit_of_a_real_file_right_after_it_was_read_is_noticed(
    database: Database, source: Path
) -> None:
    table = FileTable(database, "shop")
    for content in (b"11111", b"22222", b"33333", b"44444"):
        source.write_bytes(content)
        stat, observed_at_ns = source.stat(), time.time_ns()
        found = table.lookup("a.txt", stat)
        assert found is None or found == Digest.of(content)
        table.record("a.txt", stat, Digest.of(content), observed_at_ns)


def test_flushed_rows_survive_and_unflushed_ones_do_not(tmp_path: Path, source: Path) -> None:
    stat = settled(source)
    database = Database.open(tmp_path / "index.db")
    table = FileTable(database, "shop")
    table.record("a.txt", stat, DIGEST, OLD_NS + 10**10)
    table.record("gone.txt", stat, DIGEST, OLD_NS + 10**10)
    table.record("größe.txt", stat, DIGEST, OLD_NS + 10**10)
    table.flush()
    table.forget("gone.txt")
    table.forget("never-known.txt")
    table.flush()
    table.record("late.txt", stat, DIGEST, OLD_NS + 10**10)
    database.close()

    database = Database.open(tmp_path / "index.db")
    table = FileTable(database, "shop")
    assert table.lookup("a.txt", stat) == DIGEST
    assert table.lookup("größe.txt", stat) == DIGEST
    assert table.previous("gone.txt") is None
    assert table.previous("late.txt") is None
    assert FileTable(database, "other").previous("a.txt") is None
    database.close()


def test_a_failed_flush_keeps_the_rows_for_the_next_one(database: Database, source: Path) -> None:
    stat = settled(source)

    def fail(operation: object) -> None:
        raise OSError("no room")

    table = FileTable(database, "shop", fail)
    table.record("a.txt", stat, DIGEST, OLD_NS + 10**10)
    with pytest.raises(OSError, match="no room"):
        table.flush()
    table._write = database.write
    table.flush()
    assert FileTable(database, "shop").lookup("a.txt", stat) == DIGEST


def test_only_changed_rows_are_written(database: Database, source: Path) -> None:
    stat = settled(source)
    table = FileTable(database, "shop")
    table.record("a.txt", stat, DIGEST, OLD_NS + 10**10)
    table.record("b.txt", stat, DIGEST, OLD_NS + 10**10)
    table.flush()
    database.write(lambda connection: connection.execute("DELETE FROM files") and None)
    table.record("a.txt", stat, DIGEST, OLD_NS + 10**11)  # the same as before
    table.record("b.txt", stat, Digest.of(b"HELLO"), OLD_NS + 10**11)
    table.flush()
    assert database.rows("SELECT path FROM files") == [("b.txt",)]


def test_a_path_that_is_not_unicode_is_refused_before_it_can_spoil_a_flush(
    database: Database, source: Path
) -> None:
    with pytest.raises(UnicodeEncodeError):
        FileTable(database, "shop").record("\udcff", source.stat(), DIGEST, 0)
