"""How fast the store is: ``uv run python tests/benchmarks/store.py [--json FILE]``.

Works in a new directory below ``--directory`` (needs about 7 GiB there) and removes it again.

What makes files is measured five times; the median is held against the goal, and the lowest and the
highest stand beside it. The same work done with bare system calls ("raw") is measured in between,
because the file system's own cost can vary more than the store's: compare with it before blaming
the store. (A fresh ext4 made files up to twice as slowly right after 50,000 were deleted.)
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import TypeVar

from rich.console import Console
from rich.table import Table

from buildnet.mesh.digest import Digest
from buildnet.node.store import ActionRecord, Store

CAPACITY_BYTES = 1 << 50
SMALL_FILES = 10_000
SMALL_BYTES = 4096
LOOKUPS = 1000
BIG_BYTES = 1 << 30
RUNS = 5
MANY_BLOBS = 1_000_000
MANY_ACTIONS = 100_000
STAGED = frozenset({"staged"})
MIB = 1 << 20

MEMORY_OF_LOOKUPS = """
import random, sys
from pathlib import Path
import psutil
from buildnet.mesh.digest import Digest
from buildnet.node.store import Store
process = psutil.Process()
before = process.memory_info().rss
with Store.open(Path(sys.argv[1]), 1 << 50) as store:
    for _ in range(10_000):
        store.get_action(Digest(random.randbytes(32).hex(), 1), frozenset({"staged"}))
    print(process.memory_info().rss - before)
"""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement and the goal for it."""

    name: str
    value: float
    unit: str
    goal: float | None
    more_is_better: bool = False
    runs: tuple[float, ...] = ()

    @property
    def reached(self) -> bool | None:
        if self.goal is None:
            return None
        return self.value >= self.goal if self.more_is_better else self.value <= self.goal


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the store.")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--directory", type=Path, default=None, help="where to work")
    parser.add_argument("--short", action="store_true", help="the usual work alone, for CI")
    parser.add_argument("--only", choices=[measure.__name__ for measure in MEASURES], nargs="*")
    arguments = parser.parse_args()
    wanted = arguments.only or ([many_small.__name__] if arguments.short else None)
    measures = [each for each in MEASURES if wanted is None or each.__name__ in wanted]
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="buildnet-store-", dir=arguments.directory) as name:
        for measure in measures:
            directory = Path(name) / measure.__name__
            directory.mkdir()
            figures += measure(directory)
    report(figures, arguments.json)
    return 0


def many_small(directory: Path) -> list[Figure]:
    """A build's usual work: thousands of small files in and out, and look-ups of results."""
    return repeated(directory, _many_small)


def repeated(directory: Path, measure: Callable[[Path], list[Figure]]) -> list[Figure]:
    """Return the median of each figure over :data:`RUNS` runs, with all of them."""
    runs = []
    for number in range(RUNS):
        (directory / str(number)).mkdir()
        runs.append(measure(directory / str(number)))
    figures = []
    for same in zip(*runs, strict=True):
        values = tuple(figure.value for figure in same)
        figures.append(replace(same[0], value=median(values), runs=values))
    return figures


def _many_small(directory: Path) -> list[Figure]:
    contents = [os.urandom(8) * (SMALL_BYTES // 8) for _ in range(SMALL_FILES)]
    for name in ("out", "raw"):
        (directory / name).mkdir()

    def make_raw() -> None:
        for number, data in enumerate(contents):
            with (directory / "raw" / str(number)).open("xb", buffering=0) as file:
                file.write(data)

    raw_s, _ = timed(make_raw)
    with Store.open(directory / "store", CAPACITY_BYTES) as store, store.hold() as hold:
        put_s, digests = timed(lambda: [hold.put(data) for data in contents])
        again_s, _ = timed(lambda: [hold.put(data) for data in contents])

        def copy_all() -> None:
            for number, digest in enumerate(digests):
                hold.copy_to(digest, directory / "out" / str(number), False, 0)

        copy_s, _ = timed(copy_all)
        records = [record_of(number, digests) for number in range(LOOKUPS)]

        def put_actions() -> None:
            for record in records:
                hold.put_action(record)

        put_action_s, _ = timed(put_actions)
        lookup_s, found = timed(
            lambda: [hold.get_action(record.action, STAGED) for record in records]
        )
        assert found == records
        verify_s, checked = timed(store.verify)
        assert checked.checked == SMALL_FILES
    return [
        Figure("put 10,000 blobs of 4 KiB", put_s, "s", 1.5),
        Figure("raw: make 10,000 files of 4 KiB", raw_s, "s", None),
        Figure("put them again", again_s, "s", None),
        Figure("copy_to 10,000 blobs of 4 KiB", copy_s, "s", 1.5),
        Figure("put_action, 3 references", put_action_s / LOOKUPS * 1e6, "µs", None),
        Figure("get_action, 3 references", lookup_s / LOOKUPS * 1e6, "µs", 100),
        Figure("verify 10,000 blobs", verify_s, "s", None),
    ]


def one_big(directory: Path) -> list[Figure]:
    """A file of 1 GiB in and out."""
    source = directory / "source"
    piece = os.urandom(MIB)
    with source.open("wb") as file:
        for number in range(BIG_BYTES // MIB):
            file.write(number.to_bytes(8, "big") + piece[8:])

    def measure(below: Path) -> list[Figure]:
        os.sync()  # what was written before must not be waited for in here

        def copy_raw() -> None:
            with source.open("rb", buffering=0) as read, (below / "raw").open("wb", 0) as write:
                while data := read.read(MIB):
                    write.write(data)

        raw_s, _ = timed(copy_raw)
        (below / "raw").unlink()
        os.sync()
        with Store.open(below / "store", CAPACITY_BYTES) as store:
            put_s, digest = timed(lambda: store.put_file(source))
            assert digest.size_bytes == BIG_BYTES
            os.sync()
            copy_s, _ = timed(lambda: store.copy_to(digest, below / "copy"))
            (below / "copy").unlink()
            store.clear()
        size_mib = BIG_BYTES / MIB
        return [
            Figure("put_file of 1 GiB", size_mib / put_s, "MiB/s", 300, more_is_better=True),
            Figure("raw: read and write 1 GiB", size_mib / raw_s, "MiB/s", None, True),
            Figure("copy_to of 1 GiB", size_mib / copy_s, "MiB/s", None, True),
        ]

    return repeated(directory, measure)


def a_million(directory: Path) -> list[Figure]:
    """An index of a million blobs, made by SQL, with some real ones among them."""
    numbers = random.Random(1)
    with Store.open(directory / "store", CAPACITY_BYTES) as store:
        digests = [store.put(numbers.randbytes(100)) for _ in range(3 * LOOKUPS)]
        records = [record_of(number, digests) for number in range(LOOKUPS)]
        for record in records:
            store.put_action(record)
    fill_index(directory / "store/index.db", numbers)
    memory = int(
        subprocess.run(
            [sys.executable, "-c", MEMORY_OF_LOOKUPS, str(directory / "store")],
            check=True,
            stdout=subprocess.PIPE,
        ).stdout
    )
    open_s, store = timed(lambda: Store.open(directory / "store", CAPACITY_BYTES))
    with store:
        assert store.stats().blobs == MANY_BLOBS + len(digests)
        numbers.shuffle(records)
        lookups = [timed(partial(store.get_action, record.action, STAGED)) for record in records]
        assert [found for _, found in lookups] == records
        misses = [
            timed(lambda: store.get_action(Digest(numbers.randbytes(32).hex(), 1), STAGED))[0]
            for _ in range(LOOKUPS)
        ]
        known = [timed(partial(store.missing, [digest]))[0] for digest in digests]
        put_s, _ = timed(lambda: [store.put(numbers.randbytes(100)) for _ in range(LOOKUPS)])
        collect_s, collected = timed(lambda: store.collect(store.stats().bytes - 10_000 * 1000))
    size = (directory / "store/index.db").stat().st_size
    return [
        Figure("open an index of 1,000,000 blobs", open_s, "s", 2),
        Figure("get_action among them, median", median([s for s, _ in lookups]) * 1e6, "µs", 1000),
        Figure("get_action among them, slowest", max(s for s, _ in lookups) * 1e6, "µs", None),
        Figure("get_action that is a miss, median", median(misses) * 1e6, "µs", 1000),
        Figure("missing of one blob, median", median(known) * 1e6, "µs", 1000),
        Figure("put among them", put_s / LOOKUPS * 1e6, "µs", None),
        Figure(f"collect {collected.blobs:,} of them (rows only)", collect_s, "s", None),
        Figure("memory to open it and look up 10,000", memory / MIB, "MiB", None),
        Figure("size of the index", size / MIB, "MiB", None),
    ]


def file_table(directory: Path) -> list[Figure]:
    """The stat table of 10,000 files."""
    stat = directory.stat()
    paths = [f"packages/p{number % 100}/src/module_{number}.ts" for number in range(SMALL_FILES)]
    digests = [Digest.of(path.encode())._replace(size_bytes=stat.st_size) for path in paths]
    later_ns = stat.st_ctime_ns + 10**10
    with Store.open(directory / "store", CAPACITY_BYTES) as store:
        table = store.file_table("shop")

        def record() -> None:
            for path, digest in zip(paths, digests, strict=True):
                table.record(path, stat, digest, later_ns)

        record_s, _ = timed(record)
        flush_s, _ = timed(table.flush)
    with Store.open(directory / "store", CAPACITY_BYTES) as store:
        table = store.file_table("shop")
        load_s, _ = timed(lambda: table.previous("x"))
        lookup_s, found = timed(lambda: [table.lookup(path, stat) for path in paths])
        assert found == digests
    return [
        Figure("file table: record 10,000", record_s * 1000, "ms", None),
        Figure("file table: flush 10,000", flush_s * 1000, "ms", None),
        Figure("file table: load 10,000", load_s * 1000, "ms", None),
        Figure("file table: look up 10,000", lookup_s * 1000, "ms", None),
    ]


def fill_index(index: Path, numbers: random.Random) -> None:
    connection = sqlite3.connect(index, isolation_level=None)
    connection.execute("BEGIN")
    hashes = sorted(numbers.randbytes(32) for _ in range(MANY_BLOBS))
    connection.executemany(
        "INSERT INTO blobs VALUES (?, ?, ?)",
        ((name, 1000, numbers.randrange(10**12, 10**12 + 10**9)) for name in hashes),
    )
    actions = (
        (numbers.randbytes(32), name, b"r" * 300) for name in numbers.sample(hashes, MANY_ACTIONS)
    )
    for number, (action, blob, result) in enumerate(actions, start=10 * LOOKUPS):
        connection.execute(
            "INSERT INTO actions VALUES (?, ?, 1, 'staged', ?, ?, 0, 1, 'a label', ?, ?, ?)",
            (number, action, bytes(32), bytes(64), 10**12 + 10**9, blob + bytes(8), result),
        )
        connection.execute("INSERT INTO referrers VALUES (?, ?)", (blob, number))
    connection.execute(
        "UPDATE totals SET blobs = blobs + ?, bytes = bytes + ?", (MANY_BLOBS, MANY_BLOBS * 1000)
    )
    connection.execute("COMMIT")
    connection.close()


def record_of(number: int, digests: list[Digest]) -> ActionRecord:
    return ActionRecord(
        action=Digest.of(b"action %d" % number),
        result=b"r" * 500,
        isolation="staged",
        worker=b"w" * 32,
        signature=b"s" * 64,
        created_at=time.time(),
        duration_ms=1.0,
        label=f"bench/p{number} build",
        references=tuple(digests[number * 3 : number * 3 + 3]),
    )


def timed(operation: Callable[[], T]) -> tuple[float, T]:
    started = time.perf_counter()
    result = operation()
    return time.perf_counter() - started, result


def report(figures: list[Figure], file: Path | None) -> None:
    table = Table("figure", "value", "lowest–highest", "goal", "reached", title="The store")
    for figure in figures:
        sign = "≥" if figure.more_is_better else "≤"
        goal = "" if figure.goal is None else f"{sign} {figure.goal:g} {figure.unit}"
        reached = {None: "", True: "yes", False: "NO"}[figure.reached]
        spread = f"{min(figure.runs):,.3g}–{max(figure.runs):,.3g}" if figure.runs else ""
        table.add_row(figure.name, f"{figure.value:,.4g} {figure.unit}", spread, goal, reached)
    Console().print(table)
    text = json.dumps(
        {"figures": [asdict(figure) | {"reached": figure.reached} for figure in figures]},
        ensure_ascii=False,
    )
    sys.stdout.write(text + "\n")
    if file is not None:
        file.write_text(text + "\n")


MEASURES = (many_small, one_big, a_million, file_table)


if __name__ == "__main__":
    sys.exit(main())
