"""Blobs: what is put can be got, and nothing else can."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from buildnet.mesh.digest import EMPTY, Digest
from buildnet.node.store import (
    DamagedBlobError,
    MissingBlobError,
    SourceChangedError,
    SourceFileError,
    StateError,
    Store,
)

BIG = bytes(range(256)) * (3 * 4096 + 1)  # more than three pieces, and not a whole number of them


def path_of(store: Store, digest: Digest) -> Path:
    return store.directory / "blobs" / digest.hash[:2] / digest.hash


def damage(store: Store, digest: Digest) -> None:
    """Flip one bit in the middle of a blob's file."""
    path = path_of(store, digest)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)


def leftovers(store: Store) -> list[Path]:
    return list((store.directory / "tmp").glob("*/*"))


@pytest.mark.parametrize("data", [b"", b"hello", BIG], ids=["empty", "small", "big"])
def test_what_is_put_can_be_got(store: Store, tmp_path: Path, data: bytes) -> None:
    digest = store.put(data)
    assert digest == Digest.of(data)
    assert store.get(digest) == data
    assert stat.S_IMODE(path_of(store, digest).stat().st_mode) & 0o333 == 0
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(data)
    assert store.put_file(source) == digest
    assert store.put_file(source, expected=digest) == digest
    store.copy_to(digest, copy, executable=False, mtime_ns=None)
    assert copy.read_bytes() == data
    assert leftovers(store) == []
    assert store.stats().blobs == 1
    assert store.stats().bytes == len(data)


def test_a_big_file_is_stored_in_pieces(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(BIG)
    digest = store.put_file(source, expected=Digest.of(BIG))
    assert store.get(digest) == BIG
    assert leftovers(store) == []


def test_a_copy_has_the_mode_and_time_that_were_asked_for(store: Store, tmp_path: Path) -> None:
    digest = store.put(b"#!/bin/sh\n")
    plain, program = tmp_path / "plain", tmp_path / "program"
    previous = os.umask(0o077)
    try:
        store.copy_to(digest, plain, False, 1_000_000_000_000_000_001)
        store.copy_to(digest, program, True)
    finally:
        os.umask(previous)
    assert stat.S_IMODE(plain.stat().st_mode) == 0o644
    assert stat.S_IMODE(program.stat().st_mode) == 0o755
    assert plain.stat().st_mtime_ns == 1_000_000_000_000_000_001


def test_a_copy_replaces_a_file_and_never_shares_the_stores(store: Store, tmp_path: Path) -> None:
    digest = store.put(b"right")
    target = tmp_path / "target"
    target.write_bytes(b"old content")
    store.copy_to(digest, target)
    target.write_bytes(b"wrong")
    assert store.get(digest) == b"right"


def test_a_failed_copy_leaves_the_destination_as_it_was(store: Store, tmp_path: Path) -> None:
    digest, big = store.put(b"content"), store.put(BIG)
    (tmp_path / "directory").mkdir()
    with pytest.raises(IsADirectoryError):
        store.copy_to(digest, tmp_path / "directory")
    with pytest.raises(FileNotFoundError):
        store.copy_to(digest, tmp_path / "nowhere" / "file")
    (tmp_path / "file").write_bytes(b"before")
    for damaged in (digest, big):
        damage(store, damaged)
        with pytest.raises(DamagedBlobError):
            store.copy_to(damaged, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["directory", "file", "store"]


def test_ranges_of_a_blob_are_read_and_verified(store: Store) -> None:
    digest = store.put(BIG)
    assert store.read(digest, 0, 10) == BIG[:10]
    assert store.read(digest, (1 << 20) - 5, 10) == BIG[(1 << 20) - 5 :][:10]
    assert store.read(digest, len(BIG) - 3, 10) == BIG[-3:]
    assert store.read(digest, len(BIG) + 5, 10) == b""
    assert store.read(digest, 100, 0) == b""
    damage(store, digest)  # in the middle, outside the range
    with pytest.raises(DamagedBlobError):
        store.read(digest, 0, 10)


def test_missing_names_what_is_not_there(store: Store) -> None:
    here, gone = store.put(b"here"), Digest.of(b"gone")
    assert store.missing([here, gone, EMPTY]) == {gone, EMPTY}
    with pytest.raises(MissingBlobError, match="not in the store"):
        store.get(gone)
    with pytest.raises(KeyError):  # it is a failed look-up
        store.get(gone)


@pytest.mark.parametrize(
    "name",
    ["", "../../../etc/passwd", "a" * 63, "A" * 64, "a" * 64 + "\n", "/" * 64, "a" * 63 + "\0"],
)
def test_a_name_that_is_no_hash_never_touches_a_path(
    store: Store, tmp_path: Path, name: str
) -> None:
    bad = Digest(name, 5)
    for operation in (
        lambda: store.get(bad),
        lambda: store.missing([bad]),
        lambda: store.copy_to(bad, tmp_path / "copy"),
        lambda: store.read(bad, 0, 1),
        lambda: store.get_action(bad, frozenset({"staged"})),
    ):
        with pytest.raises(ValueError, match="hash"):
            operation()


def test_a_wrong_size_is_a_miss_and_costs_the_blob_nothing(store: Store) -> None:
    digest = store.put(b"hello")
    with pytest.raises(MissingBlobError):
        store.get(Digest(digest.hash, 4))
    assert store.missing([Digest(digest.hash, 6)])
    assert store.get(digest) == b"hello"


@pytest.mark.parametrize("data", [b"hello", BIG], ids=["small", "big"])
def test_a_flipped_bit_is_noticed_and_the_blob_dropped(store: Store, data: bytes) -> None:
    digest = store.put(data)
    damage(store, digest)
    with pytest.raises(DamagedBlobError, match="damaged"):
        store.get(digest)
    assert store.missing([digest]) == {digest}
    with pytest.raises(MissingBlobError) as missing:
        store.get(digest)
    assert not isinstance(missing.value, DamagedBlobError)
    assert store.stats().blobs == 0
    store.put(data)
    assert store.get(digest) == data


def test_a_truncated_blob_is_missing_at_once_and_dropped_when_read(store: Store) -> None:
    digest = store.put(b"hello")
    path = path_of(store, digest)
    path.chmod(0o644)
    path.write_bytes(b"hel")
    assert store.missing([digest]) == {digest}
    with pytest.raises(DamagedBlobError):
        store.get(digest)
    assert not path.exists()


@pytest.mark.parametrize("kind", ["directory", "link", "fifo"])
def test_something_else_where_a_blob_should_be_is_dropped(
    store: Store, tmp_path: Path, kind: str
) -> None:
    digest = store.put(b"hello")
    path = path_of(store, digest)
    path.unlink()
    if kind == "directory":
        path.mkdir()
        (path / "inner").write_text("x")
    elif kind == "link":
        (tmp_path / "elsewhere").write_bytes(b"hello")
        path.symlink_to(tmp_path / "elsewhere")
    else:
        os.mkfifo(path)
    assert store.missing([digest]) == {digest}
    with pytest.raises(DamagedBlobError):
        store.get(digest)
    assert not os.path.lexists(path)
    store.put(b"hello")
    assert store.get(digest) == b"hello"


def test_a_put_replaces_a_directory_that_stands_in_its_way(store: Store) -> None:
    digest = Digest.of(b"hello")
    (path_of(store, digest) / "inner").mkdir(parents=True)
    store.put(b"hello")
    assert store.get(digest) == b"hello"


def test_a_blob_removed_by_hand_is_noticed(store: Store) -> None:
    digest = store.put(b"hello")
    path_of(store, digest).unlink()
    with pytest.raises(MissingBlobError):
        store.get(digest)
    assert store.stats().blobs == 0


def test_a_source_that_is_not_what_was_expected_is_refused(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for data in (b"new bytes", BIG):
        source.write_bytes(data)
        for old in (b"old bytes", BIG[:-1], BIG + b"x"):
            with pytest.raises(SourceChangedError, match="changed while it was read"):
                store.put_file(source, expected=Digest.of(old))
    assert store.stats().blobs == 0
    assert leftovers(store) == []


@pytest.mark.parametrize("kind", ["directory", "fifo", "nothing"])
def test_only_regular_files_are_stored(store: Store, tmp_path: Path, kind: str) -> None:
    source = tmp_path / "source"
    if kind == "directory":
        source.mkdir()
    elif kind == "fifo":
        os.mkfifo(source)
    with pytest.raises(SourceFileError, match="source"):
        store.put_file(source)


def test_many_threads_may_put_and_get_the_same_blobs(store: Store) -> None:
    contents = [b"%d" % number * 1000 for number in range(40)]
    failures: list[BaseException] = []
    start = threading.Barrier(4)

    def work() -> None:
        try:
            start.wait()
            for content in contents:
                assert store.get(store.put(content)) == content
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert store.stats().blobs == len(contents)
    assert store.stats().bytes == sum(map(len, contents))
    assert leftovers(store) == []
    report = store.verify()
    assert (report.checked, report.repaired) == (len(contents), 0)


def test_a_store_survives_being_closed_and_opened(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store", 1 << 30) as store:
        digest = store.put(b"hello")
        before = store.stats()
    store.close()  # twice is harmless
    with Store.open(tmp_path / "store", 1 << 30) as store:
        assert store.get(digest) == b"hello"
        assert (store.stats().blobs, store.stats().bytes) == (before.blobs, before.bytes)


def test_unfinished_files_of_an_earlier_process_are_removed(tmp_path: Path) -> None:
    Store.open(tmp_path / "store", 1 << 30).close()
    (tmp_path / "store/tmp/dead-1").write_bytes(b"half")
    (tmp_path / "store/tmp/dead-2").mkdir()
    with Store.open(tmp_path / "store", 1 << 30) as store:
        assert leftovers(store) == []


PUT_UNTIL_KILLED = """
import sys
from pathlib import Path
from buildnet.node.store import Store
store = Store.open(Path(sys.argv[1]), 1 << 30)
for number in range(10**9):
    store.put(b"%d " % number * 2000)
    if number == 1234:  # some are committed, some are not
        print("ready", flush=True)
"""


def test_a_killed_process_leaves_only_whole_blobs_and_all_that_it_put(tmp_path: Path) -> None:
    directory = tmp_path / "store"
    with subprocess.Popen(
        [sys.executable, "-c", PUT_UNTIL_KILLED, str(directory)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.kill()
    with Store.open(directory, 1 << 30) as store:
        assert leftovers(store) == []
        files = [path.name for path in (directory / "blobs").glob("*/*")]
        assert len(files) >= 1235
        assert store.stats().blobs == len(files)
        report = store.verify()
        assert report.checked == len(files)
        assert (report.damaged, report.orphans, report.missing, report.repaired) == ((), (), (), 0)
        for number in range(1235):
            assert not store.missing([Digest.of(b"%d " % number * 2000)])


def test_a_directory_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    directory = tmp_path / "store"
    Store.open(directory, 1 << 30).close()
    if os.geteuid():
        paths = [directory, *directory.rglob("*")]
        for path in paths:
            path.chmod(0o555 if path.is_dir() else 0o444)
        try:
            with pytest.raises(StateError, match="cannot be written"):
                Store.open(directory, 1 << 30)
        finally:
            for path in paths:
                path.chmod(0o755 if path.is_dir() else 0o644)
        return
    for arguments in (["--bind"], ["-o", "remount,bind,ro"]):
        command = ["mount", *arguments, str(directory), str(directory)]
        if arguments[0] != "--bind":
            command = ["mount", *arguments, str(directory)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            if arguments[0] != "--bind":
                subprocess.run(["umount", str(directory)], check=True)
            pytest.skip(f"root may write anywhere, and mounting is not permitted: {result.stderr}")
    try:
        with pytest.raises(StateError, match="cannot be written") as error:
            Store.open(directory, 1 << 30)
        assert error.value.hint is not None
        assert "writable" in error.value.hint
    finally:
        subprocess.run(["umount", str(directory)], check=True)
