"""A mix of real builds, to measure estimates by: recorded once, and foretold again from the record.

The workspace has commands of various kinds: some wait, some compute, some sort and hash what they
read, some write many files, some start several processes. The builds are of all kinds, too: cold
ones, edits of one package or several, larger inputs, going back to what was there, subsets, forced
ones. A record tells of each build what came to be looked at, what it took, and what the node that
made it had expected.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from buildnet.cli.testing import CommandLine
from buildnet.pool.estimation.accuracy import is_within
from buildnet.pool.estimation.forecast import Forecaster
from buildnet.pool.estimation.learning import Lesson, learn_build, learn_runs
from buildnet.pool.estimation.memory import WorkspaceMemory
from buildnet.pool.estimation.piece import Ended, Fate, Piece
from buildnet.pool.estimation.sample import Sample
from buildnet.pool.estimation.simulation import SimulatedHost
from buildnet.pool.estimation.view import in_short

RECORDED = Path(__file__).resolve().parent.parent / "pool" / "estimation" / "recorded"
_COMPUTE = (
    "awk 'BEGIN {{ for (i = 0; i < {rounds}; i++) s = (s * 31 + i) % 99991; print s }}' > dist/sum"
)
KINDS: Mapping[str, str] = {
    "waits": "sleep {waits}; cat src/* > dist/all",
    "computes": _COMPUTE + "; cat src/* >> dist/sum",
    "reads": "for i in 1 2 3 4 5 6; do cat src/* src/* | sort | sha256sum; done > dist/sums",
    "writes": "i=0; while [ $i -lt {files} ]; do echo $i > dist/f$i; i=$((i+1)); done;"
    " cat src/* > dist/all",
    "forks": "for i in 1 2 3; do sleep {waits} & done; wait; cat src/* > dist/all",
}
_PACKAGES = 14


def write_workspace(root: Path, chance: random.Random) -> None:
    """Write the workspace."""
    packages: list[dict[str, Any]] = []
    for number in range(_PACKAGES):
        name, kind = f"p{number}", list(KINDS)[number % len(KINDS)]
        command = KINDS[kind].format(
            waits=round(chance.uniform(0.1, 0.9), 2),
            rounds=chance.randrange(500_000, 4_000_000),
            files=chance.randrange(100, 800),
        )
        needs = chance.sample(range(number), min(number, chance.choice((0, 1, 1, 2))))
        packages.append(
            {
                "name": name,
                "path": name,
                "build_cmd": f"mkdir -p dist; {command}",
                "sources": [f"{name}/src/**"],
                "outputs": [f"{name}/dist"],
                "dependencies": [f"p{each}" for each in sorted(needs)],
            }
        )
        (root / name / "src").mkdir(parents=True)
        for file in range(4):
            lines = [str(chance.random()) for _ in range(chance.randrange(500, 4000))]
            (root / name / "src" / f"{file}.txt").write_text("\n".join(lines))
    text = json.dumps({"workspace": "mix", "packages": packages})
    (root / "buildnet.yaml").write_text(text)


def edits(root: Path, chance: random.Random, count: int) -> Iterator[tuple[str, list[str]]]:
    """Change the workspace, and yield of each build what kind it is and what is asked for."""
    yield "cold", []
    kept = root.parent / "kept"
    shutil.copytree(root, kept, ignore=shutil.ignore_patterns("dist"))
    for _ in range(count - 1):
        kind = chance.choices(
            ("one", "some", "larger", "back", "part", "forced", "cold"), (8, 6, 3, 3, 4, 2, 1)
        )[0]
        some = chance.sample(range(_PACKAGES), chance.randrange(2, 5))
        arguments: list[str] = []
        match kind:
            case "one":
                _edit(root, chance, some[:1])
            case "some":
                _edit(root, chance, some)
            case "larger":
                _edit(root, chance, some[:1], lines=chance.randrange(500, 6000))
            case "back":  # to what stood at the beginning, which is in the cache
                for number in some:
                    shutil.copytree(kept / f"p{number}", root / f"p{number}", dirs_exist_ok=True)
            case "part":
                _edit(root, chance, some)
                arguments = [f"p{some[0]}", f"p{some[1]}"]
            case "forced":
                arguments = [f"p{some[0]}", "--force"]
            case "cold":
                _edit(root, chance, range(_PACKAGES))
        yield kind, arguments


def _edit(root: Path, chance: random.Random, some: Sequence[int], lines: int = 1) -> None:
    for number in some:
        path = root / f"p{number}" / "src" / f"{chance.randrange(4)}.txt"
        more = "\n".join(str(chance.random()) for _ in range(lines))
        path.write_text(f"{path.read_text()}\n{more}")


def build_mix(root: Path, command: CommandLine, seed: int, count: int) -> Iterator[dict[str, Any]]:
    """Make ``count`` builds of the mix; yield what is kept of each that had something to do."""
    chance = random.Random(seed)
    root.mkdir(parents=True)
    write_workspace(root, chance)
    for kind, arguments in edits(root, chance, count):
        report = command.build(root, *arguments)
        tasks = [
            {
                "name": each["name"],
                "tier": each["tier"],
                "ms": each["duration_ms"],
                "command_ms": each["executed_ms"] if each["tier"] == "full" else None,
                "needs": each["depends_on"],
                "own": not each["changes"]
                or not all(change["package"] for change in each["changes"]),
                "bytes": sum(
                    file.stat().st_size for file in (root / each["name"] / "src").iterdir()
                ),
            }
            for each in report["packages"]
            if each["tier"] != "instant-skip"
        ]
        if any(each["tier"] != "hash-skip" for each in tasks):
            yield {
                "kind": kind,
                "took_ms": report["duration_ms"],
                "estimate": report["estimate"],
                "tasks": tasks,
            }


@dataclass(frozen=True, slots=True)
class Foretold:
    """What a build was expected to take, and took."""

    estimate: dict[str, Any]
    took_ms: float

    @property
    def error(self) -> float:
        """By which part of what it took the estimate was off."""
        return float(abs(self.estimate["estimated_ms"] - self.took_ms) / self.took_ms)

    @property
    def is_within(self) -> bool:
        """Whether it ended in the range."""
        return is_within(self.estimate, self.took_ms)


def replayed(recording: Mapping[str, Any]) -> list[Foretold | None]:
    """Foretell the builds of a recording one after the other, each by what those before it took;
    None: nothing was known."""
    memory = WorkspaceMemory()
    hosts = [SimulatedHost(recording["slots"])]
    found: list[Foretold | None] = []
    for number, build in enumerate(recording["builds"]):
        pieces, ended = _pieces(build["tasks"], forced=build["kind"] == "forced")
        forecaster = Forecaster(memory, pieces, hosts)
        forecast = forecaster.ahead(number)
        told, took_ms = in_short(forecast), build["took_ms"]
        found.append(None if told is None else Foretold(told, took_ms))
        learn_build(memory, Lesson(forecaster, forecast, ended, took_ms))
        learn_runs(
            memory,
            {
                f"{each['name']}#build": Sample(
                    each["command_ms"],
                    max(0.0, each["ms"] - each["command_ms"]),
                    0.0,
                    each["bytes"],
                )
                for each in build["tasks"]
                if each["command_ms"] is not None
            },
        )
    return found


def live(recording: Mapping[str, Any]) -> list[Foretold | None]:
    """Return what the node that made the builds expected of them itself."""
    return [
        None if each["estimate"] is None else Foretold(each["estimate"], each["took_ms"])
        for each in recording["builds"]
    ]


def errors_and_share(
    builds: Sequence[Foretold | None], first: int = 4
) -> tuple[list[float], float]:
    """Return the errors from the fifth build on, and which share of those ended in their range."""
    some = [each for each in builds[first:] if each is not None]
    return [each.error for each in some], sum(each.is_within for each in some) / len(some)


def described(builds: Sequence[Foretold | None]) -> str:
    """Return median error and share in a line."""
    errors, share = errors_and_share(builds)
    return f"{len(errors)} builds, median error {median(errors):.1%}, in range {share:.0%}"


def _pieces(tasks: Sequence[Mapping[str, Any]], *, forced: bool) -> tuple[list[Piece], list[Ended]]:
    """Return what was to be done as it is known when the first tasks were looked up."""
    known = {str(each["name"]): each for each in tasks}
    pieces: list[Piece] = []
    ended: list[Ended] = []
    numbers: dict[str, int] = {}
    for name in _ordered(known):
        each = known[name]
        needs = tuple(numbers[need] for need in each["needs"] if need in numbers)
        ran, stood = each["tier"] == "full", each["tier"] == "hash-skip"
        if stood and not needs:
            continue
        if forced:
            fate = Fate.RUN
        elif needs:
            fate = Fate.CHANGED if each["own"] and not stood else Fate.UNKNOWN
        else:
            fate = Fate.RUN if ran else Fate.RESTORE
        numbers[name] = len(pieces)
        size = 0 if needs else each["bytes"]
        pieces.append(Piece(f"{name}#build", "build", needs, fate, input_bytes=size))
        ended.append(Ended(ran, each["ms"]))
    return pieces, ended


def _ordered(tasks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return their names in the order of dependencies."""
    left, order = dict(tasks), list[str]()
    while left:
        ready = [name for name, each in left.items() if not left.keys() & set(each["needs"])]
        order += ready
        for name in ready:
            del left[name]
    return order
