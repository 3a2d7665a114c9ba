"""What it costs to look into the record of a large build, and into that of many.

    uv run python tests/benchmarks/records.py [--tasks 5000] [--builds 200000] [--rounds 5]
        [--short] [--json FILE]

A build of 5,000 tasks on eight nodes, each with its parts and up to three others that it needs:
from the record's JSON, as the node reads it, to the trace's bytes; and to its review. It is
processor time: the work is done on a thread, whatever else runs.

Of 200,000 builds, asked for in 500 ways, those that have a text are looked for: the first 20 and
how many there are of each status, as the list of builds needs it. The texts: what all have, what
few have, what none has, and parts of ids. What it costs to record a build that had nothing to do
is both: with that many in the record, and the processor's part alone.

The same of 200,000 builds of other nodes, as the ledger tells of them; and of these also a page of
50 without a search, the first and one far down, of all nodes and of the one that drove the fewest.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from blake3 import blake3

from buildnet.ledger.history import History, Unchanged
from buildnet.ledger.history_cursor import cursor_of
from buildnet.ledger.history_filter import Wanted
from buildnet.ledger.told_builds import ToldBuilds
from buildnet.pool.chrome_trace import chrome_trace
from buildnet.pool.comparison import compare
from buildnet.pool.recorded import RecordedBuild
from buildnet.pool.review import review
from testbed.figures import Figure, report
from testbed.recorded_builds import large_build

WAYS = 500
NODES = 40
RARE = NODES - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=5000)
    parser.add_argument("--builds", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--short", action="store_true", help="two rounds, for CI")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    rounds = 2 if arguments.short else arguments.rounds
    build = large_build(arguments.tasks)
    rows = [json.dumps(task.data) for task in build.tasks]

    def read() -> RecordedBuild:
        return RecordedBuild.from_dict(
            {
                "build_id": build.id,
                "workspace": build.workspace,
                "status": build.status,
                "started_at": build.started_ns / 1e9,
                "duration_ms": build.duration_ms,
                "packages": [json.loads(row) for row in rows],
                "phases": build.phases,
            }
        )

    def measured(work: Callable[[], object]) -> tuple[float, ...]:
        took: list[float] = []
        for _ in range(rounds):
            began = time.process_time()
            work()
            took.append((time.process_time() - began) * 1000)
        return tuple(took)

    size_mib = len(json.dumps(chrome_trace(build))) / (1 << 20)
    tasks = f"{arguments.tasks:,} tasks"
    figures = [
        *asyncio.run(many(20_000 if arguments.short else arguments.builds, rounds)),
        *of_others(20_000 if arguments.short else arguments.builds, rounds),
        Figure(
            f"trace of {tasks}",
            measured(lambda: json.dumps(chrome_trace(read())).encode()),
            "ms",
            goal_p99=1000.0,
            note=f"{size_mib:.1f} MiB",
        ),
        Figure(
            f"review of {tasks}", measured(lambda: review(read()).as_dict()), "ms", goal_p99=1000.0
        ),
        Figure(
            f"comparison of two of {tasks}",
            measured(lambda: compare(read(), read(), lambda old, new: None).as_dict()),
            "ms",
            goal_p99=2000.0,
        ),
    ]
    report("Records of builds", figures, arguments.json)


async def many(builds: int, rounds: int) -> list[Figure]:
    """Return how long a search in a record of so many builds takes, and recording one more."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:
        path = Path(directory, "history.db")
        history = await History.open(path)
        try:
            some = await asyncio.to_thread(_fill, path, builds)
            took: list[float] = []
            texts = ("workspace", "pkg-77", "nothing like it", "fade", "bad", some[:12])
            for text in texts * rounds:
                began, wanted = time.process_time(), Wanted(text=text)
                await history.page(limit=20, wanted=wanted)
                await history.counts(wanted)
                took.append((time.process_time() - began) * 1000)
            lasted, used = [], []
            for number in range(200):
                began, used_before = time.perf_counter(), time.process_time()
                await history.add_unchanged(
                    f"new-{number}",
                    **_build(number),
                    completed_at=2e9,
                    duration_ms=9.0,
                    unchanged=Unchanged(some, {}),
                )
                lasted.append((time.perf_counter() - began) * 1000)
                used.append((time.process_time() - used_before) * 1000)
        finally:
            await history.close()
    among = f"{builds:,} builds"
    return [
        Figure(f"search in {among}", tuple(took), "ms", goal_p99=100.0),
        Figure(f"one more among {among}", tuple(lasted), "ms"),
        Figure(f"one more among {among}, processor", tuple(used), "ms", goal_p50=1.0),
    ]


def of_others(builds: int, rounds: int) -> list[Figure]:
    """Return how long it takes to list some of so many builds that the ledger tells of, and to take
    in what it tells of one."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:
        told = ToldBuilds(Path(directory, "told.db"))
        told.open()
        told.begin(bytes(32))
        taken = [_taken_in(told, range(at, at + 100)) for at in range(0, builds, 100)]
        rare = told.drivers()[_key(RARE)]
        numbers = {text: Wanted(text=text) for text in ("workspace", "pkg-77", "nothing", "fade")}

        def listed(wanted: Wanted, before: str | None, drivers: list[int] | None) -> float:
            began = time.process_time()
            told.page(limit=50, before=before, wanted=wanted, drivers=drivers)
            told.counts(wanted, drivers)
            return (time.process_time() - began) * 1000

        far = cursor_of(1.7e9 + builds * 0.05, "f")
        plain = [
            listed(Wanted(status=status, actor=actor), before, drivers)
            for status in (None, "failed")
            for actor in (None, "account:person-3")
            for before in (None, far)
            for drivers in (None, [rare])
            for _ in range(rounds)
        ]
        searched = [listed(one, None, None) for one in numbers.values() for _ in range(rounds)]
        told.close()
    among = f"{builds:,} builds of other nodes"
    return [
        Figure(f"page of {among}", tuple(plain), "ms", goal_p50=100.0),
        Figure(f"search in {among}", tuple(searched), "ms", goal_p50=100.0),
        Figure(f"taking in one of {among}", tuple(taken), "ms", goal_p50=1.0),
    ]


def _taken_in(told: ToldBuilds, numbers: range) -> float:
    entries = [one for number in numbers for one in _entries(number)]
    began = time.process_time()
    told.take(entries, "-.-", is_own=lambda key: False, is_proven=lambda entry: False, recorded=())
    return (time.process_time() - began) * 1000 / len(numbers)


def _entries(number: int) -> list[Any]:
    """Return what :class:`ToldBuilds` reads of the two entries of a build."""
    build, driver = _build(number), _key(RARE if number % 5000 == 0 else number % (NODES - 1))
    asked = {"workspace": build["workspace"], "task": "build", "config_id": None}
    asked["packages"] = build["request"]["packages"]
    end = "failed" if number % 50 == 0 else "completed"
    identity = blake3(b"%d" % number).hexdigest(length=16)
    return [
        SimpleNamespace(
            data=data,
            body=SimpleNamespace(
                type=f"build.{what}",
                entity=f"build:{identity}",
                origin=driver,
                actor=SimpleNamespace(id=build["triggered_by"]),
                hlc=int(build["started_at"] * 1000 + at) << 16,
            ),
        )
        for at, what, data in ((0, "started", asked), (500, end, {"duration_ms": 500, "term": 0}))
    ]


def _key(number: int) -> bytes:
    return bytes([number]) * 32


def _build(number: int) -> dict[str, Any]:
    way = number * 7919 % WAYS
    request = {"task": "build", "packages": [f"pkg-{way}", f"lib-{way * 7}"], "more": "x" * 300}
    return {
        "workspace": f"workspace-{way % 20}",
        "root": "/home/somebody/work",
        "request": request,
        "started_at": 1.7e9 + number,
        "triggered_by": f"account:person-{way % 9}",
    }


def _fill(path: Path, builds: int) -> str:
    """Write so many builds; return the id of one."""
    ids = [blake3(b"%d" % number).hexdigest(length=16) for number in range(builds)]
    rows = (
        {"id": one, **build, "request": json.dumps(build["request"])}
        for one, build in zip(ids, map(_build, range(builds)), strict=True)
    )
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executemany(
            "INSERT INTO builds (id, workspace, root, request, status, started_at, triggered_by) "
            "VALUES (:id, :workspace, :root, :request, 'succeeded', :started_at, :triggered_by)",
            rows,
        )
        connection.commit()
    return ids[builds // 2]


if __name__ == "__main__":
    main()
