"""What it costs to look into the record of a large build.

    uv run python tests/benchmarks/records.py [--tasks 5000] [--rounds 5] [--short] [--json FILE]

A build of 5,000 tasks on eight nodes, each with its parts and up to three others that it needs:
from the record's JSON, as the node reads it, to the trace's bytes; and to its review. It is
processor time: the work is done on a thread, whatever else runs.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

from buildnet.pool.chrome_trace import chrome_trace
from buildnet.pool.comparison import compare
from buildnet.pool.recorded import RecordedBuild
from buildnet.pool.review import review
from testbed.figures import Figure, report
from testbed.recorded_builds import large_build


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=5000)
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


if __name__ == "__main__":
    main()
