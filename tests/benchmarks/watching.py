"""How soon an edit is built under ``build --watch``, with a real node.

    uv run python tests/benchmarks/watching.py [--packages 50] [--runs 40] [--large-mb 50] [--short]
                                               [--json FILE]

The command of the edited package says when it began; that, since the edit and less the debounce, is
what the node needs besides: to be told of the edit, to see what it means, to begin a build, to find
out what has to run, and to start it. A storm is 200 files written within a second: what counts
there is the time since the last one, and that one build has them all.

Then a large file is edited that a command reads on another node, from the edit to the build's end:
of two nodes alike one fetches what it is told of ahead, the other does not. What is sent is bounded
to what a network of 1 Gbit/s takes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from buildnet.cli.testing import CommandLine, write_files
from testbed.figures import Figure, report
from testbed.nodes import Cluster
from testbed.watching import Watching

DEBOUNCE_MS = 300
GOAL_MS = 100
STORM_FILES = 200
_COMMAND = "date +%s%N > out; cat src/* | wc -c >> out"


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", type=int, default=50)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--large-mb", type=int, default=50)
    parser.add_argument("--short", action="store_true", help="few runs, for CI")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    runs = 8 if arguments.short else arguments.runs
    with tempfile.TemporaryDirectory() as directory:
        command = CommandLine(Path(directory) / "home")
        command.start()
        try:
            root = workspace(Path(directory) / "shop", arguments.packages)
            with Watching(command, root, "build", "--watch") as watching:
                watching.until_idle()
                edits = [edit(root, watching, number, arguments.packages) for number in range(runs)]
                storms = [storm(root, watching) for _ in range(max(2, runs // 10))]
        finally:
            command("node", "stop")
        large = [
            figure
            for delay_s in (0, 1)
            for figure in elsewhere(
                Path(directory) / str(delay_s), arguments.large_mb, max(3, runs // 4), delay_s
            )
        ]
    figures = [
        Figure("edit → command started, less the debounce", tuple(edits), "ms", goal_p50=GOAL_MS),
        Figure(
            f"last of {STORM_FILES} edits → command started, less the debounce",
            tuple(late for late, _ in storms),
            "ms",
            goal_p50=GOAL_MS,
        ),
        Figure("builds of a storm", tuple(float(count) for _, count in storms), "", goal_p99=1),
        *large,
    ]
    report(f"watching a workspace of {arguments.packages} packages", figures, arguments.json)


def workspace(root: Path, packages: int) -> Path:
    """Write a workspace of packages with 20 files each, none of which depends on another."""
    lines = "".join(
        f"  - {{name: p{number}, path: p{number}, build_cmd: '{_COMMAND}', "
        f"output_dir: p{number}/out}}\n"
        for number in range(packages)
    )
    files = {f"p{number}/src/{file}": "x\n" for number in range(packages) for file in range(20)}
    return write_files(root, {"buildnet.yaml": f"workspace: shop\npackages:\n{lines}", **files})


def edit(root: Path, watching: Watching, number: int, packages: int) -> float:
    """Edit one file; return after how many milliseconds its command began, less the debounce."""
    package, seen = root / f"p{number % packages}", len(watching.events)
    (package / "src/0").write_text(f"{number} {time.time_ns()}\n")
    edited_ns = time.time_ns()
    watching.until_idle(seen)
    return (began_ns(package) - edited_ns) / 1e6 - DEBOUNCE_MS


def storm(root: Path, watching: Watching) -> tuple[float, int]:
    """Edit many files within a second; return what :func:`edit` does, and how many builds began."""
    package, seen = root / "p0", len(watching.events)
    before = len(watching.of("building"))
    for number in range(STORM_FILES):
        (package / f"src/{number}").write_text(f"{time.time_ns()}\n")
        time.sleep(1 / STORM_FILES)
    edited_ns = time.time_ns()
    watching.until_idle(seen)
    return (began_ns(package) - edited_ns) / 1e6 - DEBOUNCE_MS, len(
        watching.of("building")
    ) - before


def elsewhere(directory: Path, large_mb: int, runs: int, delay_s: int) -> list[Figure]:
    """Edit a large file that is read on another node; tell how many milliseconds later the build
    had ended, less the delay: on a node that fetches it ahead, and on one that does not."""
    cluster = Cluster(directory / "cluster", 3)
    settings: list[dict[str, Any]] = [
        {"network": {"bulk_limit": "119 MB"}},
        {"node_tags": ["told"]},
        {"node_tags": ["untold"], "scheduling": {"fetch_ahead": False}},
    ]
    for node, said in zip(cluster.members, settings, strict=True):
        node.home.directory.mkdir(parents=True)
        node.home.config.write_text(json.dumps(said))
    lines = "".join(
        f"  - {{name: {name}, path: {name}, build_cmd: 'wc -c large > out', "
        f"output_dir: {name}/out, labels: [{name}]}}\n"
        for name in ("told", "untold")
    )
    files = {f"{name}/large": "x" for name in ("told", "untold")}
    definition = {"buildnet.yaml": f"workspace: large\npackages:\n{lines}"}
    root = write_files(directory / "large", {**definition, **files})
    took: dict[str, list[float]] = {"told": [], "untold": []}
    with (
        cluster,
        Watching(
            cluster.members[0].command, root, "build", "--watch", "--delay", f"{delay_s}s"
        ) as watching,
    ):
        watching.until_idle()
        for _ in range(runs):
            for name, all_ms in took.items():
                content, seen = os.urandom(large_mb << 20), len(watching.events)
                (root / name / "large").write_bytes(content)
                edited = time.monotonic()
                watching.until_idle(seen)
                all_ms.append((time.monotonic() - edited - delay_s) * 1000)
                assert (root / name / "out").read_text().split()[0] == str(large_mb << 20)
    what = f"{large_mb} MiB edited, --delay {delay_s}s → build's end elsewhere, less the delay"
    return [Figure(f"{what}, {name}", tuple(all_ms), "ms") for name, all_ms in took.items()]


def began_ns(package: Path) -> int:
    """Return when the command of a package began last, as it says."""
    return int((package / "out").read_text().split()[0])


if __name__ == "__main__":
    main()
