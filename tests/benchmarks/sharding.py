"""How evenly tests are spread over the pool, with three real nodes of one slot each.

    uv run python tests/benchmarks/sharding.py [--files 40] [--runs 4] [--short] [--json FILE]

A task of test files that take different times (they sleep, so that two processors are enough) is
run, what all of them see is edited, and it runs again. What counts is the time from the first
command's start to the last one's end, over the *ideal*: all times over three slots, or the longest
file. In the first run nothing is known of the files; from the second on their times are, from JUnit
XML or (*without reports*) from the shards as a whole. An edit of one test file is to run one shard.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from pathlib import Path
from typing import Any

from buildnet.cli.testing import write_files
from testbed.figures import Figure, report
from testbed.nodes import Cluster

NODES = 3
GOAL = 1.15
_RUN = """\
#!/bin/sh
# lib: {lib}
out=$1; shift
echo '<testsuite>' > $out
for each in "$@"; do
  read seconds < $each; sleep $seconds
  echo "<testcase classname='$each' name='all' time='$seconds'/>" >> $out
done
echo '</testsuite>' >> $out
"""
_DEFINITION = """\
workspace: {name}
packages:
  - name: core
    path: core
    tasks:
      test:
        cmd: sh run.sh report-{{shard}}.xml {{tests}}
        tests: ["core/*.test"]
        shards: {shards}
        {reports}: ["core/report-{{shard}}.xml"]
"""


class Tests:
    """A workspace of one task of tests; ``total_s``: what they take together."""

    __test__ = False

    def __init__(self, root: Path, files: int, total_s: float, *, reports: bool) -> None:
        rng = random.Random(len(root.name))
        weights = [rng.lognormvariate(0, 0.8) for _ in range(files)]
        self.times_s = [weight * total_s / sum(weights) for weight in weights]
        self.root = root
        self._edits = 0
        text = _DEFINITION.format(
            name=root.name,
            shards="auto" if reports else NODES,
            reports="junit" if reports else "outputs",
        )
        tests = {
            f"core/t{number:02}.test": f"{seconds:.3f}\n"
            for number, seconds in enumerate(self.times_s)
        }
        write_files(root, {"buildnet.yaml": text, **tests})
        self.edit()

    @property
    def ideal_ms(self) -> float:
        """What no division over the nodes is faster than."""
        return max(sum(self.times_s) / NODES, *self.times_s) * 1000

    def edit(self) -> None:
        """Edit what all tests see."""
        self._edits += 1
        write_files(self.root, {"core/run.sh": _RUN.format(lib=self._edits)})

    def edit_one(self) -> None:
        """Edit one test, which takes as long as before."""
        file = self.root / "core/t00.test"
        file.write_text(file.read_text() + "# edited\n")


def run(cluster: Cluster, tests: Tests) -> dict[str, Any]:
    """Run the task; return its entry of the report."""
    told = cluster.members[0].command.build(tests.root, "--task", "test")
    (entry,) = told["packages"]
    return dict(entry)


def ratios(cluster: Cluster, tests: Tests, runs: int) -> list[float]:
    """Run the task so often, each time with an edit before it; return times over the ideal."""
    found = []
    for _ in range(runs):
        entry = run(cluster, tests)
        found.append(entry["duration_ms"] / tests.ideal_ms)
        tests.edit()
    return found


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--files", type=int, default=40)
    parser.add_argument("--runs", type=int, default=4, help="after the first two")
    parser.add_argument("--short", action="store_true", help="for CI: few files, few runs")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    files, runs = (18, 1) if arguments.short else (arguments.files, arguments.runs)
    total_s = 4.5 if arguments.short else 36.0
    with tempfile.TemporaryDirectory(prefix="buildnet-sharding-") as name:
        directory = Path(name)
        cluster = Cluster(directory, NODES, bare=False)
        for node in cluster.members:
            node.home.directory.mkdir(parents=True, exist_ok=True)
            node.home.config.write_text("workers: {max: 1}\n")
        with cluster:
            tests = Tests(directory / "told", files, total_s, reports=True)
            told = ratios(cluster, tests, 2 + runs)
            hosts = float(len({shard["node"] for shard in run(cluster, tests)["shards"]}))
            tests.edit_one()
            shards = run(cluster, tests)["shards"]
            ran = float(sum(shard["tier"] == "full" for shard in shards))
            figures = [
                Figure("first run / ideal", (told[0],), "×"),
                Figure("from the third run on / ideal", tuple(told[2:]), "×", GOAL, GOAL),
                Figure("nodes that ran shards", (hosts,), ""),
                Figure("shards that run after an edit of one test", (ran,), "", 1),
            ]
            if not arguments.short:
                silent = Tests(directory / "without", files, total_s, reports=False)
                known = ratios(cluster, silent, 2 + runs)
                figures.append(Figure("without reports, from the third on", tuple(known[2:]), "×"))
    report("Sharding", figures, arguments.json)


if __name__ == "__main__":
    main()
