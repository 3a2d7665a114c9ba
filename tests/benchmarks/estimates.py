"""How good estimates are: recorded mixes of real builds foretold again, and real builds.

    uv run python tests/benchmarks/estimates.py [--live] [--builds 40] [--seed 1] [--short]
        [--json FILE]
    uv run python tests/benchmarks/estimates.py --record NAME [--builds 40] [--seed 1]

Of each recording (tests/pool/estimation/recorded) every build is foretold by what the builds before
it took, then it is learned from. ``--live`` makes the builds on a node of its own and takes what
that node itself expected; ``--record`` keeps them as a recording. Goals are from the fifth build
on: the median error, and how many of the builds end in the range that four fifths should end in.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from buildnet.pool.estimation.forecast import Forecaster
from buildnet.pool.estimation.learning import learn_runs
from buildnet.pool.estimation.memory import WorkspaceMemory
from buildnet.pool.estimation.piece import Fate, Piece
from buildnet.pool.estimation.sample import Sample
from buildnet.pool.estimation.simulation import SimulatedHost
from testbed.estimate_mix import (
    RECORDED,
    Foretold,
    build_mix,
    described,
    errors_and_share,
    live,
    replayed,
)
from testbed.figures import Figure, report
from testbed.nodes import Cluster

ERROR, LEAST_WITHIN, MOST_WITHIN = 0.15, 0.7, 0.9


def made(seed: int, count: int) -> dict[str, Any]:
    """Make the builds of a mix on a node of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="buildnet-mix-") as name,
        Cluster(Path(name) / "nodes", 1, bare=False) as cluster,
    ):
        node = cluster.members[0]
        builds = []
        for each in build_mix(Path(name) / "mix", node.command, seed, count):
            builds.append(each)
            told = (each["estimate"] or {}).get("estimated_ms")
            print(f"{each['kind']:>7}: {each['took_ms']:8.0f} ms, expected {told}", flush=True)
        slots = os.cpu_count() or 1
        return {
            "made": time.strftime("%Y-%m-%d", time.gmtime()),
            "machine": f"{platform.machine()}, {slots} cores, load {os.getloadavg()[1]:.1f}",
            "seed": seed,
            "slots": slots,
            "builds": builds,
        }


def figures_of(title: str, builds: Sequence[Foretold | None]) -> list[Figure]:
    """Return the figures of one mix."""
    errors, share = errors_and_share(builds)
    off = max(0.0, LEAST_WITHIN - share, share - MOST_WITHIN)
    return [
        Figure(f"{title}: error", tuple(errors), "×", ERROR),
        Figure(f"{title}: in the range", (share,), "×", note=described(builds)),
        Figure(f"{title}: beyond 70–90 % in the range", (off,), "×", 0.0),
    ]


def time_to_foretell(tasks: int) -> tuple[float, ...]:
    """Return how long it takes to foretell a plan of so many tasks, in milliseconds of processor
    time."""
    memory = WorkspaceMemory()
    for number in range(20):
        learn_runs(memory, {f"p{number}#build": Sample(100.0 + number, 5.0)})
    pieces = [
        Piece(f"p{number % 20}#build", "build", (number - 5,) if number > 5 else (), Fate.RUN)
        for number in range(tasks)
    ]
    found = []
    for _ in range(3):
        began = time.process_time()
        Forecaster(memory, pieces, [SimulatedHost(4)]).ahead(1)
        found.append((time.process_time() - began) * 1000)
    return tuple(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--live", action="store_true", help="make real builds, too")
    parser.add_argument("--builds", type=int, default=40, help="so many real builds")
    parser.add_argument("--seed", type=int, default=1, help="of the mix of real builds")
    parser.add_argument("--record", help="keep the real builds under this name")
    parser.add_argument("--short", action="store_true", help="for CI: recordings alone")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    figures: list[Figure] = []
    if arguments.record or (arguments.live and not arguments.short):
        recording = made(arguments.seed, arguments.builds)
        if arguments.record:
            text = json.dumps(recording, indent=None, separators=(",", ":"))
            RECORDED.mkdir(exist_ok=True)
            (RECORDED / f"{arguments.record}.json").write_text(text.replace('{"kind"', '\n{"kind"'))
        figures += figures_of(f"{len(recording['builds'])} real builds", live(recording))
    every: list[float] = []
    for file in sorted(RECORDED.glob("*.json")):
        foretold = replayed(json.loads(file.read_text()))
        figures += figures_of(f"recording {file.stem}", foretold)
        every += errors_and_share(foretold)[0]
    if every:
        figures.append(Figure("all recordings: median error", (median(every),), "×", ERROR))
    figures.append(Figure("to foretell 100 tasks", time_to_foretell(100), "ms", 200.0))
    report("Estimates", figures, arguments.json)


if __name__ == "__main__":
    main()
