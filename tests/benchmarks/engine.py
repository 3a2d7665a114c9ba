"""BuildNet beside turbo, nx and ninja on the same generated workspaces.

    uv run python tests/benchmarks/engine.py [--install-peers] [--peers DIR] [--rounds 9]
        [--only NAME …] [--directory DIR] [--short] [--json FILE]

Each tool has its own copy of the files. Every figure is of several rounds, and in each round one
tool runs after the other; ratios are of runs of the same round. turbo (its native binary) and nx
start npm for each package: here that is a shell script which runs the command at once, so that the
tools are compared and not npm. They are taken from ``--peers``, where ``--install-peers`` puts the
newest; what is not there is left out, and its row says so. ``cpu ms`` is the processor time of one
run, that of the tool's children and of BuildNet's node with it (not of nx's daemon): where other
work goes on, it tells more than the clock.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from testbed.figures import Figure, report
from testbed.workspaces_generated import COMMAND, Generated
from testbed.workspaces_tools import BuildNet, Peers, Run, Tool

MOUNTED_FILES = 50_000
_FILES_A_DIRECTORY = 50
_TREE = (
    "i=0; while [ $i -lt {directories} ]; do mkdir -p node_modules/m$i; j=0; "
    "while [ $j -lt {files} ]; do echo $i $j > node_modules/m$i/$j.js; j=$((j+1)); done; "
    "i=$((i+1)); done"
)
_SLOW_ROUNDS = 3  # of nx, which takes seconds
_ABSENT = "not there: --install-peers"


@dataclass(slots=True)
class Bench:
    """What all measurements share; ``figures`` are those taken so far."""

    directory: Path
    peers: Peers
    rounds: int
    is_short: bool
    figures: list[Figure] = field(default_factory=list)

    def no_op(self) -> None:
        """Nothing to do: 200 packages of 25 files."""
        generated = Generated(10, 5) if self.is_short else Generated(200, 25)
        name = f"no-op of {generated.packages} × {generated.files}"
        with ExitStack() as stack:
            ours = self._buildnet(stack, "no-op", generated)
            idle_mb = ours.memory_mb()
            tools = [ours, *self._peers(stack, "no-op", generated, ("turbo", "nx", "ninja"), name)]
            for tool in tools:
                tool.build()
            runs = self._interleaved(tools, Tool.build)
            daemon = [ours.report()["duration_ms"] for _ in range(self.rounds)]
            after_mb = ours.memory_mb()
        self._add(f"{name}: in the daemon", daemon, "ms", 5)
        self._add_runs(name, runs)
        self._add_ratio(name, runs, "buildnet", "turbo", 0.35)
        self._add("memory of the node, idle", [idle_mb], "MB")
        self._add(f"memory of the node after {name}", [after_mb], "MB")

    def growth(self) -> None:
        """From 100 to 1,000 packages, and one edit among those."""
        small, large = (5, 20) if self.is_short else (100, 1000)
        sizes = [Generated(count, 20) for count in (small, large)]
        names = ("turbo", "nx", "ninja")
        with ExitStack() as stack:
            tools: list[list[Tool]] = []
            for size in sizes:
                title = f"no-op of {size.packages} × 20"
                where = f"growth{size.packages}"
                ours = self._buildnet(stack, where, size)
                tools.append([ours, *self._peers(stack, where, size, names, title)])
                for tool in tools[-1]:
                    tool.build()
            both = [self._interleaved(each, Tool.build) for each in tools]
            for size, runs in zip(sizes, both, strict=True):
                self._add_runs(f"no-op of {size.packages} × 20", runs)
            for name in both[0]:
                few, many = ([run.wall_ms for run in each[name]] for each in both)
                goal = 1.5 if name == "buildnet" else None
                ratio = statistics.median(many) / statistics.median(few)
                self._add(f"no-op growing {small} → {large} packages: {name}", [ratio], "×", goal)
            self._edit(ours, [tool for tool in tools[-1] if tool.name != "nx"])

    def _edit(self, ours: BuildNet, tools: list[Tool]) -> None:
        """One source edited of a package that nothing depends on."""
        last = ours.generated.packages - 1
        name = f"one edit among {ours.generated.packages}"
        texts = iter(range(10**9))

        def edited(tool: Tool) -> Run:
            tool.edit(last, f"// edit {next(texts)}\n")
            return tool.build()

        runs = self._interleaved(tools, edited)
        overheads = []
        for _ in range(self.rounds):
            ours.edit(last, f"// edit {next(texts)}\n")
            took_ms = ours.report()["duration_ms"]
            overheads.append(took_ms - self._command_ms(ours, last))
        self._add(f"{name}: in the daemon beyond the command", overheads, "ms", 50)
        self._add_runs(name, runs)

    def cold(self) -> None:
        """100 packages of one file and one command each, of which nothing is known."""
        count = 6 if self.is_short else 100
        name = f"cold build of {count}"
        plain = Generated(count, 1)
        with ExitStack() as stack:
            tools: list[Tool] = []
            for level in ("staged", "strict"):
                ours = self._leveled(stack, f"cold-{level}", plain, level, f"{name}: {level}")
                tools += [ours] if ours is not None else []
            tools += self._peers(stack, "cold", plain, ("turbo", "nx", "ninja"), name)

            def build(tool: Tool) -> Run:
                tool.forget()
                return tool.build()

            runs = self._interleaved(tools, build)
        self._add_runs(name, runs)
        self._add_ratio(name, runs, "staged", "turbo", 1.2)
        self._add_ratio(name, runs, "strict", "turbo", 2)
        self._add_ratio(name, runs, "strict", "ninja", 4)

    def restore(self) -> None:
        """100 packages whose outputs are gone and whose results are in the cache."""
        count = 6 if self.is_short else 100
        name = f"restore of {count}"
        generated = Generated(count, 1)
        with ExitStack() as stack:
            tools: list[Tool] = [self._buildnet(stack, "restore", generated)]
            tools += self._peers(stack, "restore", generated, ("turbo", "nx"), name)
            for tool in tools:
                tool.build()

            def build(tool: Tool) -> Run:
                tool.remove_outputs()
                return tool.build()

            runs = self._interleaved(tools, build)
        self._add_runs(name, runs)
        self._add_ratio(name, runs, "buildnet", "turbo", 0.5)

    def sandbox(self) -> None:
        """What an action costs besides its command, one at a time."""
        generated = Generated(4 if self.is_short else 50, 1)
        for level, goal in (("staged", None), ("strict", 10.0)):
            name = f"an action in {level}, beyond its command"
            with ExitStack() as stack:
                ours = self._leveled(stack, f"sandbox-{level}", generated, level, name, slots=1)
                if ours is None:
                    continue
                overheads: list[float] = []
                for _ in range(min(self.rounds, _SLOW_ROUNDS)):
                    ours.forget()
                    packages = ours.report()["packages"]
                    command_ms = self._command_ms(ours, 0)
                    overheads += [each["duration_ms"] - command_ms for each in packages]
            self._add(name, overheads, "ms", goal)

    def mount(self) -> None:
        """A command that is shown a node_modules of 50,000 files, unpacked before, and one that is
        not."""
        directories = 4 if self.is_short else MOUNTED_FILES // _FILES_A_DIRECTORY
        name = f"showing an input tree of {directories * _FILES_A_DIRECTORY:,} files"
        if shutil.which("npm") is None:
            self._add(name, [], "ms", 50, note="npm is not there")
            return
        with ExitStack() as stack:
            ours = self._buildnet(stack, "mount", Generated(2, 1), slots=1, bare=False)
            definition = ours.root / "buildnet.yaml"
            text = definition.read_text()
            text = text.replace("  - name: p1\n", "  - name: p1\n    dependencies_tree: false\n")
            seen = f"test -e ../../node_modules/m0/0.js && {COMMAND}"
            text = text.replace(COMMAND, seen, 1)
            command = json.dumps(_TREE.format(directories=directories, files=_FILES_A_DIRECTORY))
            definition.write_text(f"install: {{manager: npm, command: {command}}}\n{text}")
            ours.report()
            overheads = []
            for number in range(self.rounds):
                for package in (0, 1):
                    ours.edit(package, f"// {number}\n")
                took = {one["name"]: one["duration_ms"] for one in ours.report()["packages"]}
                overheads.append(took["p0"] - took["p1"])
        self._add(name, overheads, "ms", 50)

    def million(self) -> None:
        """A store of 1,000,000 blobs: ``store.py`` measures it."""
        file = self.directory / "store.json"
        script = Path(__file__).with_name("store.py")
        subprocess.run(
            [
                *(sys.executable, str(script), "--only", "a_million"),
                *("--json", str(file), "--directory", str(self.directory)),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        for figure in json.loads(file.read_text())["figures"]:
            goal = {"open an index of 1,000,000 blobs": 2.0}.get(figure["name"])
            if figure["name"] in ("get_action among them, median", "missing of one blob, median"):
                goal = 1000.0
            if goal is not None:
                name = f"1,000,000 blobs: {figure['name']}"
                self._add(name, [figure["value"]], figure["unit"], goal)

    # Tools

    def _buildnet(
        self,
        stack: ExitStack,
        where: str,
        generated: Generated,
        *,
        slots: int | None = None,
        bare: bool = True,
    ) -> BuildNet:
        settings = None if slots is None else {"workers": {"max": slots}}
        ours = BuildNet(self.directory / where / "buildnet", generated, settings, bare=bare)
        return stack.enter_context(ours)

    def _leveled(
        self,
        stack: ExitStack,
        where: str,
        generated: Generated,
        level: str,
        name: str,
        *,
        slots: int | None = None,
    ) -> BuildNet | None:
        """Return BuildNet, which is called by its isolation level; None, and a row that says so:
        it does not have it here."""
        ours = self._buildnet(stack, where, replace(generated, isolation=level), slots=slots)
        ours.name = level
        try:
            levels = {one["isolation"] for one in ours.report()["packages"]}
        except RuntimeError:
            levels = set()
        if levels == {level}:
            return ours
        self._add(name, [], "ms", note="BuildNet does not have this level here")
        return None

    def _peers(
        self,
        stack: ExitStack,
        where: str,
        generated: Generated,
        names: Sequence[str],
        title: str,
    ) -> list[Tool]:
        """Return the peers that are there; a row tells of each that is not."""
        found: list[Tool] = []
        for name in names if not self.is_short else ("ninja",):
            tool = self.peers.make(name, self.directory / where / name, generated)
            if tool is None:
                self._add(f"{title}: {name}", [], "ms", note=_ABSENT)
            else:
                found.append(stack.enter_context(tool))
        return found

    def _interleaved(
        self, tools: Sequence[Tool], run: Callable[[Tool], Run]
    ) -> dict[str, list[Run]]:
        """Let one tool run after the other, round by round."""
        runs: dict[str, list[Run]] = {tool.name: [] for tool in tools}
        for number in range(self.rounds):
            for tool in tools:
                if tool.name != "nx" or number < _SLOW_ROUNDS:
                    runs[tool.name].append(run(tool))
        return runs

    def _command_ms(self, ours: BuildNet, package: int) -> float:
        """Return how long a package's command takes by itself."""
        times = []
        for _ in range(5):
            began = time.perf_counter()
            subprocess.run(
                ["/bin/sh", "-c", COMMAND], cwd=ours.root / f"packages/p{package}", check=True
            )
            times.append((time.perf_counter() - began) * 1000)
        return statistics.median(times)

    # Figures

    def _add(
        self,
        name: str,
        values: Sequence[float],
        unit: str,
        goal: float | None = None,
        note: str = "",
    ) -> None:
        goal = None if self.is_short else goal  # small workspaces say nothing of it
        self.figures.append(Figure(name, tuple(values), unit, goal, note=note))

    def _add_runs(self, name: str, runs: dict[str, list[Run]]) -> None:
        for tool, each in runs.items():
            used_ms = statistics.fmean(run.processor_ms for run in each)
            times = tuple(run.wall_ms for run in each)
            self.figures.append(Figure(f"{name}: {tool}", times, "ms", processor_ms=used_ms))

    def _add_ratio(
        self, name: str, runs: dict[str, list[Run]], ours: str, theirs: str, goal: float
    ) -> None:
        """Add how a tool's runs compare with another's of the same rounds."""
        if ours in runs and theirs in runs:
            pairs = list(zip(runs[ours], runs[theirs], strict=True))
            ratios = [one.wall_ms / other.wall_ms for one, other in pairs]
            self._add(f"{name}: {ours} / {theirs}", ratios, "×", goal)
            ratio = sum(one.processor_ms for one, _ in pairs)
            ratio /= sum(other.processor_ms for _, other in pairs)
            self._add(f"{name}: {ours} / {theirs}, processor time", [ratio], "×")


MEASURES = {
    "no-op": Bench.no_op,
    "growth": Bench.growth,
    "cold": Bench.cold,
    "restore": Bench.restore,
    "sandbox": Bench.sandbox,
    "mount": Bench.mount,
    "million": Bench.million,
}


SHORT = ("no-op", "cold", "mount")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", nargs="*", choices=list(MEASURES))
    parser.add_argument(
        "--peers",
        type=Path,
        default=Path.home() / ".cache" / "buildnet-benchmarks",
        metavar="DIR",
        help="where turbo and nx are",
    )
    parser.add_argument("--install-peers", action="store_true", help="put the newest there by npm")
    parser.add_argument("--directory", type=Path, help="where to work; default: the system's /tmp")
    parser.add_argument("--short", action="store_true", help="small and without npm, for CI")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    peers = Peers(arguments.peers)
    if arguments.install_peers:
        peers.install()
    rounds = 2 if arguments.short else arguments.rounds
    with tempfile.TemporaryDirectory(prefix="buildnet-engine-", dir=arguments.directory) as name:
        bench = Bench(Path(name), peers, rounds, arguments.short)
        for measure in arguments.only or (SHORT if arguments.short else MEASURES):
            known = len(bench.figures)
            MEASURES[measure](bench)
            for figure in bench.figures[known:] if not arguments.short else ():
                told = f"{figure.p50:,.3g} {figure.unit}" if figure.values else figure.note
                print(f"{figure.name}: {told}", file=sys.stderr)
    versions = ", ".join(f"{name} {version}" for name, version in peers.versions().items())
    report(f"The engine beside {versions or 'nobody'}", bench.figures, arguments.json)


if __name__ == "__main__":
    main()
