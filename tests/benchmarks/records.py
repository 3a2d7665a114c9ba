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
from typing import Any

from blake3 import blake3

from buildnet.ledger.history import History, Unchanged
from buildnet.ledger.history_filter import Wanted
from buildnet.pool.chrome_trace import chrome_trace
from buildnet.pool.comparison import compare
from buildnet.pool.recorded import RecordedBuild
from buildnet.pool.review import review
from testbed.figures import Figure, report
from testbed.recorded_builds import large_build

WAYS = 500


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
