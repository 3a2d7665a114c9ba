"""What running an action costs besides its command. `uv run python tests/benchmarks/execute.py`

Prints a table and one line of JSON; exits 1 if a figure is above its limit (2 cores).

ext4 without a journal (some virtual machines) doesn't use an inode again for up to six minutes
after its file was deleted and looks at each of them for every new file: after thousands of
deletions in one place, say by a test run, making a file takes 0.5 ms there instead of 0.01. Use
``--directory``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from buildnet.mesh.digest import Digest
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.execute.collection import Collector
from buildnet.node.execute.declared import DeclaredOutputs
from buildnet.node.execute.delivery import deliver
from buildnet.node.execute.executor import ExecutionRequest, StagedExecutor
from buildnet.node.execute.mounts import Mount
from buildnet.node.execute.process_tree import become_child_subreaper
from buildnet.node.execute.staging import staged
from buildnet.node.execute.trees import UnpackedTrees
from buildnet.node.store.holds import Hold
from buildnet.node.store.store import Store
from buildnet.pool.tree import DirectoryTree, FileEntry

COMMAND = "mkdir -p dist && cat src/*.js > dist/index.js"
LIMITS_MS = {"stage + run + collect + deliver": 12.0, "100 MB of output": 1000.0}


class Bench:
    """A store, a workspace and an executor in a temporary directory."""

    def __init__(self, directory: Path, store: Store, hold: Hold, rounds: int) -> None:
        self.directory = directory
        self.store = store
        self.hold = hold
        self.rounds = rounds
        self.workspace = directory / "workspace"
        self.workspace.mkdir()
        self.executor = StagedExecutor(directory / "work")
        self.table = store.file_table("benchmark")
        self.figures: dict[str, float] = {}

    def inputs(self, number: int) -> DirectoryTree:
        """20 files of 4 KiB, different in each action."""
        return DirectoryTree.from_paths(
            {
                f"packages/p{number}/src/{index:02}.js": FileEntry(
                    self.hold.put(f"// {number} {index}\n".encode().ljust(4096, b"x"))
                )
                for index in range(20)
            }
        )

    def request(self, number: int, command: str = COMMAND) -> ExecutionRequest:
        return ExecutionRequest(
            action=Digest.of(f"{command} {number}".encode()),
            command=command,
            working_directory=f"packages/p{number}",
            environment={"PATH": "/usr/bin:/bin"},
            inputs=self.inputs(number) if command == COMMAND else DirectoryTree({}),
            mounts=(),
            outputs=(f"packages/p{number}/dist",) if command == COMMAND else (),
            timeout_s=None,
        )

    def run(self, request: ExecutionRequest) -> None:
        execution = self.executor.execute(request, self.hold, lambda _: None, CancelToken())
        assert execution.outcome.succeeded, execution
        assert execution.outputs is not None
        deliver(execution.outputs, request.outputs, self.workspace, self.hold, self.table)

    def median_ms(self, name: str, run: Callable[[int], object]) -> None:
        times: list[float] = []
        for number in range(self.rounds):
            start = time.perf_counter()
            run(number)
            times.append((time.perf_counter() - start) * 1000)
        self.figures[name] = statistics.median(times)

    def whole_actions(self) -> None:
        requests = [self.request(number) for number in range(self.rounds)]
        self.median_ms("stage + run + collect + deliver", lambda number: self.run(requests[number]))
        with ThreadPoolExecutor(2) as pool:
            start = time.perf_counter()
            list(pool.map(self.run, (self.request(1000 + n, COMMAND) for n in range(self.rounds))))
            elapsed_s = time.perf_counter() - start
        self.figures["the same, 2 threads, per action"] = elapsed_s * 1000 / self.rounds

    def parts(self) -> None:
        requests = [self.request(number) for number in range(self.rounds)]
        work = self.directory / "parts"

        def stage(number: int) -> None:
            with staged(work, requests[number].action, requests[number].inputs, self.hold):
                pass

        self.median_ms("stage 20 files and remove", stage)
        empty = self.request(0, "true")
        self.median_ms("run `true` in an empty stage", lambda _: self.run(empty))
        left = self.directory / "left"
        (left / "dist").mkdir(parents=True)
        (left / "dist" / "index.js").write_bytes(b"x" * 81920)
        declared = DeclaredOutputs(["dist"])
        collector = Collector(left, DirectoryTree({}), declared, lambda path, status: True)
        self.median_ms("collect 1 file", lambda _: collector.collect(self.hold))
        outputs = collector.collect(self.hold)

        def place(number: int) -> None:
            root = self.workspace / f"fresh{number}"
            root.mkdir()
            deliver(outputs, ("dist",), root, self.hold, self.table)

        self.median_ms("deliver 1 file", place)
        again = self.workspace / "fresh0"
        self.median_ms(
            "deliver 1 file that is in place",
            lambda _: deliver(outputs, ("dist",), again, self.hold, self.table),
        )

    def much_output(self) -> None:
        request = self.request(0, "yes buildnet | head -c 100000000")
        start = time.perf_counter()
        self.run(request)
        self.figures["100 MB of output"] = (time.perf_counter() - start) * 1000

    def large_tree(self) -> None:
        content = FileEntry(self.hold.put(b"module.exports = 1\n"))
        package = DirectoryTree({f"{index}.js": content for index in range(20)})
        modules = DirectoryTree({f"package{index}": package for index in range(500)})
        tree = DirectoryTree({"node_modules": modules})
        trees = UnpackedTrees(self.directory / "trees")
        key = Digest.of(b"install")
        for name in ("unpack 10,000 files", "check 10,000 unpacked files"):
            start = time.perf_counter()
            place = trees.ensure(key, tree, self.hold)
            self.figures[name] = (time.perf_counter() - start) * 1000
        mounts = [Mount("node_modules", place / "node_modules")]

        def show(number: int) -> None:
            action = Digest.of(b"%d" % number)
            with staged(self.directory / "m", action, DirectoryTree({}), self.hold, mounts=mounts):
                pass

        self.median_ms("mount 500 packages and remove", show)


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--directory", type=Path, help="where to work; default: the system's /tmp")
    parser.add_argument("--short", action="store_true", help="few rounds, for CI")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    rounds = 5 if arguments.short else arguments.rounds
    become_child_subreaper()
    with tempfile.TemporaryDirectory(prefix="buildnet-benchmark-", dir=arguments.directory) as name:
        directory = Path(name)
        with Store.open(directory / "store", 8 << 30) as store, store.hold() as hold:
            bench = Bench(directory, store, hold, rounds)
            bench.whole_actions()
            bench.parts()
            bench.much_output()
            if not arguments.short:
                bench.large_tree()
    missed = []
    for figure, value_ms in bench.figures.items():
        limit_ms = LIMITS_MS.get(figure)
        shown = "" if limit_ms is None else f"  (limit {limit_ms:.0f})"
        sys.stdout.write(f"{figure:36} {value_ms:10.2f} ms{shown}\n")
        if limit_ms is not None and value_ms > limit_ms:
            missed.append(figure)
    figures = {figure: round(value_ms, 3) for figure, value_ms in bench.figures.items()}
    text = json.dumps({"benchmark": "execute", "ms": figures, "missed": missed}) + "\n"
    sys.stdout.write(text)
    if arguments.json:
        arguments.json.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
