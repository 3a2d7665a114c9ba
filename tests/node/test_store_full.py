"""A store on a volume that is full, or can't be written."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from buildnet.mesh.digest import Digest
from buildnet.node.store import LastRun, MissingBlobError, StateError, Store, StoreFullError
from buildnet.node.store.blobs import BlobFiles
from testbed.store_kills import LEVEL, record_of, require_order


def content(number: int, size: int = 1000) -> bytes:
    return b"%09d " % number * (size // 10)


def agrees(store: Store) -> bool:
    """Whether files, rows and totals say the same."""
    report = store.verify()
    return not (report.damaged or report.missing or report.orphans or report.repaired)


@pytest.fixture
def small_volume(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A real file system of 4 MiB, or as its options say."""
    volume = tmp_path / "volume"
    volume.mkdir()
    options = getattr(request, "param", "size=4m")
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(volume)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if mounted.returncode:
        pytest.skip(f"mounting a tmpfs is not permitted: {mounted.stderr.strip()}")
    try:
        yield volume
    finally:
        subprocess.run(["umount", str(volume)], check=True)


def test_a_full_volume_makes_the_store_collect_and_go_on(
    small_volume: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    with Store.open(small_volume / "store", 1 << 30) as store:
        for number in range(150):
            with store.hold() as hold:
                data = content(number, 100_000)
                digest = hold.put(data)
                assert hold.get(digest) == data
                if number % 10 == 0:
                    source.write_bytes(content(1000 + number, 1_500_000))
                    assert store.get(store.put_file(source)) == source.read_bytes()
                    hold.copy_to(digest, small_volume / "copy")
                hold.put_action(record_of(f"a{number}", digest))
        assert 0 < store.stats().blobs < 150
        assert agrees(store)


def test_a_full_volume_without_anything_to_collect_is_a_clear_error(
    small_volume: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.write_bytes(content(1, 3_000_000))
    with Store.open(small_volume / "store", 1 << 30) as store, store.hold() as hold:
        held: list[Digest] = []

        def fill() -> None:
            for number in range(100):
                held.append(hold.put(content(number, 100_000)))

        with pytest.raises(StoreFullError, match="100,000 bytes could not be written") as error:
            fill()
        assert error.value.code == "STORE_FULL"
        assert error.value.cause is not None
        assert "bytes are free" in error.value.cause
        assert error.value.hint is not None
        with pytest.raises(StoreFullError):
            hold.put_file(source)
        with pytest.raises(StoreFullError):
            hold.copy_to(held[0], small_volume / "copy")
        assert len(held) > 10
        assert store.missing(held) == set()
        assert not list((small_volume / "store/tmp").glob("*/*"))
        assert not (small_volume / "copy").exists()
        hold.close()
        store.put_file(source)  # now there is something to collect
        assert agrees(store)


def test_a_file_that_can_never_fit_does_not_cost_the_cache(
    small_volume: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.write_bytes(content(1, 6_000_000))
    with Store.open(small_volume / "store", 1 << 30) as store:
        digest = store.put(b"precious")
        with pytest.raises(StoreFullError):
            store.put_file(source)
        assert store.get(digest) == b"precious"


def test_looking_at_a_store_on_a_full_volume_costs_no_result(small_volume: Path) -> None:
    with Store.open(small_volume / "store", 1 << 30) as store:
        with store.hold() as hold:
            for number in range(300):
                hold.put(content(number, 1000))
        with suppress(OSError), (small_volume / "fill").open("wb", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass
        stats = store.stats()
        assert (stats.free_bytes, stats.blobs) == (0, 300)
        (small_volume / "fill").unlink()
        assert all(store.get(Digest.of(content(number, 1000))) for number in range(300))


def test_a_store_on_a_full_volume_can_be_opened_and_cleared(small_volume: Path) -> None:
    with Store.open(small_volume / "store", 1 << 30) as store:
        digests = [store.put(content(number, 100_000)) for number in range(20)]
        store.put_action(record_of("last", digests[-1]))
    with suppress(OSError), (small_volume / "ballast").open("wb", buffering=0) as ballast:
        while True:
            ballast.write(bytes(4096))
    with Store.open(small_volume / "store", 1 << 30) as store:
        assert store.get(digests[-1]) == content(19, 100_000)
        assert store.clear().blobs == 20
        store.put(content(1, 100_000))
        assert agrees(store)


class Work:
    """What builds do with a store, at random; ``hold`` needs the result ``precious``."""

    def __init__(self, store: Store, below: Path, numbers: random.Random) -> None:
        self.store = store
        self.numbers = numbers
        self._source = below / "source"
        self.hold = store.hold()
        self.precious = [self.hold.put(content(each, 900)) for each in range(3)]
        self.hold.put_action(record_of("precious", *self.precious))
        self.steps: tuple[Callable[[], object], ...] = (
            self._put_result,
            self._put_file,
            self._receive,
            self._note,
            lambda: store.put(self._content()),
            lambda: store.get_action(Digest.of(str(numbers.randrange(50)).encode()), LEVEL),
            lambda: store.collect(100_000),
            store.stats,
            store.verify,
        )

    def _content(self) -> bytes:
        return content(self.numbers.randrange(60), self.numbers.choice((100, 5000, 200_000)))

    def _put_result(self) -> None:
        with self.store.hold() as hold:
            name = str(self.numbers.randrange(50))
            hold.put_action(record_of(name, hold.put(self._content()), hold.put(self._content())))

    def _put_file(self) -> None:
        self._source.write_bytes(self._content() * 7)
        self.store.put_file(self._source)

    def _receive(self) -> None:
        data = self._content()
        incoming = self.store.receive(Digest.of(data))
        whole = False
        try:
            with suppress(OSError):
                whole = os.write(incoming.descriptor, data) == len(data)
        finally:
            incoming.close(whole=whole)

    def _note(self) -> None:
        run = LastRun(self.precious[0], self.precious[1], 1.0)
        self.store.record_run("shop", str(self.numbers.random()), run)
        table = self.store.file_table("shop")
        table.record(str(self.numbers.random()), Path().stat(), self.precious[0], 0)
        table.flush()


@pytest.mark.parametrize("small_volume", ["size=4m", "size=64m,nr_inodes=400"], indirect=True)
def test_whatever_a_full_volume_refuses_what_builds_hold_stays_usable(
    small_volume: Path, tmp_path: Path
) -> None:
    """Room, or what files can be made, comes and goes; every step succeeds or says what is wrong,
    and with room all is as it should be."""
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    numbers = random.Random(seed)
    ballast = small_volume / "ballast"
    ballast.mkdir()
    with Store.open(small_volume / "store", 1 << 30) as store:
        work = Work(store, tmp_path, numbers)
        for _ in range(120):
            if numbers.random() < 0.1:
                toggle(ballast)
            with suppress(StoreFullError):
                numbers.choice(work.steps)()
            assert work.hold.get_action(Digest.of(b"precious"), LEVEL) is not None
            for digest in work.precious:
                assert Digest.of(work.hold.get(digest)) == digest
        if any(ballast.iterdir()):
            toggle(ballast)
        with store.hold() as hold:
            hold.put_action(record_of("after", hold.put(b"after")))
        assert store.get_action(Digest.of(b"after"), LEVEL) is not None
        store._index.flush()
        require_order(store)
        assert agrees(store)


def toggle(ballast: Path) -> None:
    """Fill a volume to the last byte and file, or empty it again."""
    files = list(ballast.iterdir())
    for path in files:
        path.unlink()
    if not files:
        with suppress(OSError):
            while True:
                with (ballast / str(random.random())).open("xb", buffering=0) as file:
                    file.write(bytes(16384))


def test_a_store_that_becomes_read_only_serves_what_it_has(small_volume: Path) -> None:
    """Its index does not: SQLite has that open, and the kernel then refuses."""
    with Store.open(small_volume / "store", 1 << 30) as store:
        blob = store.put(b"before")
        store.put_action(record_of("before", blob))
        damaged = store.put(b"damaged")
        path = small_volume / "store/blobs" / damaged.hash[:2] / damaged.hash
        path.chmod(0o644)
        path.write_bytes(b"DAMAGED")
        with read_only(small_volume / "store/blobs"), read_only(small_volume / "store/tmp"):
            for _ in range(3):
                assert store.get_action(Digest.of(b"before"), LEVEL) is not None
                assert store.get(blob) == b"before"
                for refused in (lambda: store.put(b"new"), lambda: store.collect(0)):
                    with pytest.raises(StateError, match="cannot be written") as error:
                        refused()
                    assert error.value.hint
                with pytest.raises(StateError, match="cannot be written"):
                    store.get(damaged)
        store.put(b"new")
        with pytest.raises(MissingBlobError):
            store.get(damaged)
        assert agrees(store)


def test_a_collection_that_fails_half_way_forgets_what_it_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(tmp_path / "store", 1 << 30) as store:
        digests = [store.put(content(number)) for number in range(4)]
        remove = BlobFiles.remove
        left = 2

        def fail_later(files: BlobFiles, hash: str) -> bool:
            nonlocal left
            left -= 1
            if left < 0:
                raise StateError("the store cannot be written", hint="")
            return remove(files, hash)

        store.stats()
        monkeypatch.setattr(BlobFiles, "remove", fail_later)
        with pytest.raises(StateError):
            store.collect(0)
        monkeypatch.undo()
        assert len(store.missing(digests)) == 2
        require_order(store)


@contextmanager
def read_only(directory: Path) -> Iterator[None]:
    """Mount a directory over itself so that nothing in it can be changed."""
    subprocess.run(["mount", "--bind", str(directory), str(directory)], check=True)
    try:
        command = ["mount", "-o", "remount,bind,ro", str(directory)]
        subprocess.run(command, check=True)
        yield
    finally:
        subprocess.run(["umount", str(directory)], check=True)
