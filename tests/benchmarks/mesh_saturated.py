"""Elections, and lag of the event loop, on a host whose every core is busy.

    uv run python tests/benchmarks/mesh_saturated.py [--nodes 5] [--minutes 10] [--per-core 2]
        [--nice 0] [--short] [--json FILE]

Real processes on this machine; beside them ``--per-core`` processes for each core that do nothing
but count. ``--nice 10`` is how actions of a build run; 0 is harder. There must be no election. The
lag is the highest that each node told (``pool health``: 99th percentile of the last minute).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.figures import Figure, report
from testbed.nodes import Cluster, health

GOAL_LAG_MS = 50.0
_LOOK_EVERY_S = 5.0
_SPIN = "import os, sys; os.nice(int(sys.argv[1]))\nwhile True: pass"


@contextmanager
def saturation(per_core: int, nice: int) -> Iterator[None]:
    """Keep every core busy while the context is open."""
    command = [sys.executable, "-ISc", _SPIN, str(nice)]
    spinners = [subprocess.Popen(command) for _ in range(per_core * (os.cpu_count() or 1))]
    try:
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()


def measure(cluster: Cluster, minutes: float) -> list[Figure]:
    """Look at terms and lag for ``minutes``."""
    size = len(cluster.members)
    before = cluster.settle()
    started = time.monotonic()
    lags: dict[str, float] = {}
    worst_terms = {node.name: before.term for node in cluster.members}
    lost = 0
    while time.monotonic() - started < minutes * 60:
        time.sleep(_LOOK_EVERY_S)
        for node in cluster.members:
            told = health(node)
            lags[node.name] = max(lags.get(node.name, 0.0), told["loop_lag_ms"] or 0.0)
            office = node.office()
            if office is None:
                continue
            worst_terms[node.name] = max(worst_terms[node.name], office.term)
            lost += not office.quorum
    elections = max(worst_terms.values()) - before.term
    return [
        Figure(f"{size} nodes, {minutes:g} min: elections", (elections,), "", 0, 0),
        Figure(f"{size} nodes, {minutes:g} min: looks without a majority", (lost,), "", 0, 0),
        Figure(
            f"{size} nodes: loop lag, p99 of a minute, at worst",
            tuple(lags.values()),
            "ms",
            None,
            GOAL_LAG_MS,
        ),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nodes", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--per-core", type=int, default=2)
    parser.add_argument("--nice", type=int, default=0)
    parser.add_argument("--short", action="store_true", help="three nodes, 15 s, for CI")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    if arguments.short:
        arguments.nodes, arguments.minutes = 3, 0.25
    with (
        tempfile.TemporaryDirectory(prefix="buildnet-saturated-") as directory,
        Cluster(Path(directory), arguments.nodes) as cluster,
        saturation(arguments.per_core, arguments.nice),
    ):
        figures = measure(cluster, arguments.minutes)
    report("Saturated hosts", figures, arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
