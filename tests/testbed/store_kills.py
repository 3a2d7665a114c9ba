"""Kills processes that work with a store, and looks whether what they left is whole.

A child opens a store and does everything that a node does with it; it ends by SIGKILL, at a random
moment, or right before the n-th step that changes a file (:func:`kill_at_each_step`). Whatever the
moment: the next start must find each result with all its blobs, each blob's row with its file and
each file with its row, right totals, nothing half-written, and what was acknowledged.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from buildnet.mesh.digest import Digest
from buildnet.node.store import ActionRecord, LastRun, MissingBlobError, Store
from buildnet.node.store.database import Database

CAPACITY_BYTES = 300_000
LEVEL = frozenset({"strict"})
_CONTENTS = 60
_THREADS = 3
_LONGEST_S = 0.05
_STEPS = ("rename", "unlink", "pwrite", "ftruncate", "write", "makedirs", "fchmod")


class BrokenStoreError(Exception):
    """A killed process left something that it must not leave."""


def content(number: int) -> bytes:
    """Return some bytes, other ones for each number; one in ten is large."""
    return b"%d " % number * (20_000 if number % 10 == 9 else 100 + number * 7)


def record_of(name: str, *references: Digest) -> ActionRecord:
    action = Digest.of(name.encode())
    return ActionRecord(action, b"result", "strict", b"", b"", 0.0, 0, name, references)


class Notes:
    """What a child did, kept outside of the store; a line is one ``write``."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, line: str) -> None:
        with self._path.open("a") as file:
            file.write(line + "\n")

    def take(self) -> set[str]:
        """Return the lines, and begin anew."""
        lines = set(self._path.read_text().splitlines()) if self._path.exists() else set()
        self._path.unlink(missing_ok=True)
        return lines


class StoreKills:
    """Rounds of a child at work, its end, and a look at what it left."""

    def __init__(self, directory: Path, seed: int) -> None:
        self._store = directory / "store"
        self._numbers = random.Random(seed)
        self._put = Notes(directory / "put")
        self._damaged = Notes(directory / "damaged")
        self._source = directory / "source"
        self.results_found = 0

    def run(self, kills: int) -> None:
        """Raises:
        BrokenStoreError: something was not as it has to be.
        """
        for number in range(kills):
            seed = self._numbers.randrange(1 << 30)
            removes = number % 3 > 0
            if number % 20 == 19:
                for path in self._store.glob("index.db*"):
                    path.unlink()
            child = forked(partial(self._work, random.Random(seed), removes))
            time.sleep(self._numbers.random() * _LONGEST_S)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            self.look(removes)

    def look(self, removes: bool) -> None:
        """Open the store and see that all is in order; ``removes``: results may have gone."""
        put, damaged = self._put.take(), self._damaged.take()
        with Store.open(self._store, CAPACITY_BYTES) as store:
            require_order(store)
            report = store.verify()
            if not set(report.damaged) <= damaged or report.missing or report.orphans:
                raise BrokenStoreError(f"{report}, damaged on purpose: {damaged}")
            if not removes and not damaged:
                for name in put:
                    if store.get_action(Digest.of(name.encode()), LEVEL) is None:
                        raise BrokenStoreError(f"the result {name} was acknowledged and is gone")
            for item in store.list_actions(1000).items:
                found = store.get_action(item.action, LEVEL)
                if found is None:
                    raise BrokenStoreError(f"the result {item.label} can't be had")
                for blob in found.references:
                    store.get(blob)  # verified
                self.results_found += 1

    def _work(self, numbers: random.Random, removes: bool) -> None:
        capacity = CAPACITY_BYTES if removes else 1 << 40
        store = Store.open(self._store, capacity)
        threads = [
            threading.Thread(target=self._build, args=(store, random.Random(seed), removes))
            for seed in numbers.sample(range(1 << 30), _THREADS)
        ]
        for thread in threads:
            thread.start()

    def _build(self, store: Store, numbers: random.Random, removes: bool) -> None:
        while True:
            name = str(numbers.randrange(30))
            with store.hold() as hold:
                chosen = numbers.sample(range(_CONTENTS), numbers.randrange(6))
                references = [hold.put(content(number)) for number in chosen]
                with suppress(MissingBlobError):  # damaged by another thread
                    hold.put_action(record_of(name, *references))
                    self._put.add(name)
            if not removes:
                continue
            match numbers.randrange(12):
                case 0:
                    store.collect(numbers.randrange(CAPACITY_BYTES))
                case 1:
                    store.clear()
                case 2:
                    store.verify()
                case 3:
                    self._damage(store, numbers)
                case 4:
                    source = Path(f"{self._source}-{threading.get_ident()}")
                    source.write_bytes(content(numbers.randrange(_CONTENTS)) * 40)
                    store.put_file(source)

    def _damage(self, store: Store, numbers: random.Random) -> None:
        digest = Digest.of(content(numbers.randrange(_CONTENTS)))
        damage(store, digest, self._damaged)
        with suppress(MissingBlobError):
            store.get(digest)


def damage(store: Store, digest: Digest, notes: Notes) -> None:
    """Replace what a blob's file holds, if it is there."""
    path = store.directory / "blobs" / digest.hash[:2] / digest.hash
    notes.add(digest.hash)
    other = store.directory.parent / f"other-{threading.get_ident()}"
    other.write_bytes(bytes(digest.size_bytes))
    if path.exists():
        os.rename(other, path)


def require_order(store: Store) -> None:
    """See that rows, files, results and totals of a store say the same.

    Raises:
        BrokenStoreError: they do not.
    """
    files = {path.name: path.stat().st_size for path in (store.directory / "blobs").glob("*/*")}
    found = store._database.rows("SELECT hash, size_bytes FROM blobs")
    rows = {hash.hex(): size for hash, size in found}
    if files != rows:
        without_file, without_row = rows.keys() - files.keys(), files.keys() - rows.keys()
        raise BrokenStoreError(f"rows without files: {without_file}; files: {without_row}")
    stats = store.stats()
    if (stats.blobs, stats.bytes) != (len(files), sum(files.values())):
        raise BrokenStoreError(f"{stats}, but there are {len(files)} blobs")
    if left := list((store.directory / "tmp").glob("*/*")):
        raise BrokenStoreError(f"left in tmp: {left}")
    for item in store.list_actions(1000).items:
        for blob in store.show(item.action.hash).missing:  # type: ignore[union-attr]
            raise BrokenStoreError(f"the result {item.label} lacks {blob}")


def kill_at_each_step(directory: Path) -> int:
    """Let a child do everything once and kill it before its first step, then before its second,
    until it comes to its end; return how many steps there were.

    Raises:
        BrokenStoreError: something was not as it has to be.
    """
    for step in range(1, 10_000):
        below = directory / str(step)
        below.mkdir()
        kills = StoreKills(below, 0)
        child = forked(partial(_all_once, below, step))
        _, status = os.waitpid(child, 0)
        try:
            kills.look(removes=True)
        except BrokenStoreError as error:
            raise BrokenStoreError(f"killed before step {step}: {error}") from error
        if os.WIFEXITED(status):
            if os.WEXITSTATUS(status):
                raise BrokenStoreError(f"the child failed in step {step}")
            return step
    raise AssertionError("the work has no end")


def _all_once(directory: Path, last_step: int) -> None:
    damaged, source = Notes(directory / "damaged"), directory / "source"
    source.write_bytes(content(1) * 2000)  # copied in pieces
    with killed_before(last_step):
        with Store.open(directory / "store", CAPACITY_BYTES) as store, store.hold() as hold:
            first, second = hold.put(content(2)), hold.put(content(3))
            hold.put_action(record_of("a", first, second))
            hold.put_action(record_of("b", second))
            store.put_action(record_of("c", store.put(content(4))))
            store.put(content(6))
            store.record_run("shop", "core", LastRun(first, second, 1.0))
            hold.close()
            damage(store, second, damaged)
            with suppress(MissingBlobError):
                store.get(second)
            store.collect(len(content(4)))
            store.put_file(source)
            store.put(content(5))
            damage(store, Digest.of(content(5)), damaged)
            store.verify()
            incoming = store.receive(first)
            os.write(incoming.descriptor, content(2))
            incoming.close(whole=True)
        for path in (directory / "store").glob("index.db*"):
            path.unlink()
        with Store.open(directory / "store", CAPACITY_BYTES) as store:  # adopts
            store.clear()


@contextmanager
def killed_before(last_step: int) -> Iterator[None]:
    """End this process by SIGKILL right before its n-th change of a file or of the index."""
    left = last_step

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **named)

        return call

    for name in _STEPS:
        setattr(os, name, counted(getattr(os, name)))
    Database.write = counted(Database.write)  # type: ignore[method-assign]
    yield


def forked(work: Callable[[], None]) -> int:
    """Do ``work`` in a child, to be called without other threads; return its id. It exits with 1
    if the work fails, and waits for threads that the work began."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    finally:
        if code:
            import traceback

            traceback.print_exc()
        others = [each for each in threading.enumerate() if each is not threading.current_thread()]
        for thread in others:
            thread.join()
        os._exit(code)
