"""What nodes do for each other: hits of the pool's cache, commands on other hosts.

    uv run python tests/benchmarks/pool.py [--rounds 9] [--short] [--json FILE]

Real nodes on loopback addresses. Of hits: one has built what the other asks for; times are those
of the whole build in the node that asks, delivery into the workspace included. Of commands: eight
nodes of one slot each; the ideal is what the commands alone take on eight slots. What runs in
``staged`` no other node ever takes, so that is one node, with as many slots as all those have.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from testbed.figures import Figure, report
from testbed.nodes import Cluster, Node

_LARGE_BYTES = 10 << 20
_PACKAGES = 100
_WORKERS = 8
_COMMANDS = 64
_MANY_COMMANDS = 400
_SLEEP = """
  - name: p{number}
    path: p{number}
    build_cmd: sleep 1; cp in.txt out.txt
    outputs: [p{number}/out.txt]
"""
_LARGE = """
workspace: large
packages:
  - name: p
    path: .
    build_cmd: mkdir dist && head -c {size} /dev/urandom > dist/out
    output_dir: dist
    sources: [in.txt]
"""
_MANY = """
  - name: p{number}
    path: p{number}
    build_cmd: mkdir dist && cp in.txt dist/out
    output_dir: p{number}/dist
    isolation: {isolation}
"""


def _took_ms(pair: Cluster, directory: Path, packages: int, round_number: int) -> float:
    """Build on one node, then on the other; return how long that took."""
    one, other = pair.members
    for node in (one, other):
        _write(directory / node.name, packages, round_number)
    _build(one, directory / one.name, "full", "--local-only")
    return _build(other, directory / other.name, "pool-cache")


def _write(root: Path, packages: int, round_number: int, isolation: str = "strict") -> None:
    root.mkdir(parents=True)
    if packages == 1:
        (root / "buildnet.yaml").write_text(_LARGE.format(size=_LARGE_BYTES))
        (root / "in.txt").write_text(f"{round_number}\n")
        return
    parts = [_MANY.format(number=number, isolation=isolation) for number in range(packages)]
    (root / "buildnet.yaml").write_text(f"workspace: many\npackages:{''.join(parts)}")
    for number in range(packages):
        (root / f"p{number}").mkdir()
        (root / f"p{number}/in.txt").write_text(f"{round_number} {number}\n")


def _build(node: Node, root: Path, tier: str, *options: str) -> float:
    told = node.command.build(root, *options)
    tiers = {each["tier"] for each in told["packages"]}
    if tiers != {tier}:
        raise RuntimeError(f"{node.name} took {tiers}, not {tier}")
    return float(told["duration_ms"])


def _over_ideal(cluster: Cluster, root: Path) -> float:
    """Build 64 commands of a second on eight slots; return the time over the ideal one."""
    parts = [_SLEEP.format(number=number) for number in range(_COMMANDS)]
    root.mkdir(parents=True)
    (root / "buildnet.yaml").write_text(f"workspace: sleepy\npackages:{''.join(parts)}")
    for number in range(_COMMANDS):
        (root / f"p{number}").mkdir()
        (root / f"p{number}/in.txt").write_text(f"{root} {number}\n")
    took_ms = _build(cluster.members[0], root, "full")
    return took_ms / (1000 * _COMMANDS / len(cluster.members))


def _each_ms(cluster: Cluster, root: Path, round_number: int, isolation: str = "strict") -> float:
    """Build commands that do next to nothing; return how long one takes, side by side as they
    are."""
    _write(root, _MANY_COMMANDS, round_number, isolation)
    return _build(cluster.members[0], root, "full") / _MANY_COMMANDS


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--short", action="store_true", help="two rounds, for CI")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    rounds = 2 if arguments.short else arguments.rounds
    figures = []
    with (
        tempfile.TemporaryDirectory(prefix="buildnet-pool-") as name,
        Cluster(Path(name) / "nodes", 2) as pair,
    ):
        for title, packages, goal in (
            ("hit of the pool's cache: one output of 10 MiB", 1, 150.0),
            (f"hits of the pool's cache: {_PACKAGES} packages", _PACKAGES, None),
        ):
            took = [
                _took_ms(pair, Path(name) / f"{packages}-{number}", packages, number)
                for number in range(rounds)
            ]
            goal = None if arguments.short else goal
            figures.append(Figure(title, tuple(took), "ms", goal))
    rounds = min(3, rounds)
    with tempfile.TemporaryDirectory(prefix="buildnet-pool-") as name:
        with _cluster(Path(name) / "nodes", 2 if arguments.short else _WORKERS, slots=1) as nodes:
            figures += _commands_elsewhere(nodes, Path(name), rounds, arguments.short)
        with _cluster(Path(name) / "alone", 1, slots=_WORKERS) as alone:
            figures.append(_staged(alone, Path(name), rounds, arguments.short))
    report("The pool", figures, arguments.json)


def _cluster(directory: Path, nodes: int, *, slots: int) -> Cluster:
    cluster = Cluster(directory, nodes)
    for node in cluster.members:
        node.home.directory.mkdir(parents=True)
        node.home.config.write_text(f"workers: {{max: {slots}}}\n")
    return cluster


def _staged(alone: Cluster, directory: Path, rounds: int, is_short: bool) -> Figure:
    each = tuple(
        _each_ms(alone, directory / f"a{number}", number, "staged") for number in range(rounds)
    )
    where = f"one node of {_WORKERS} slots in staged"
    title = f"a command that does nothing, of {_MANY_COMMANDS}, on {where}"
    return Figure(title, each, "ms", None if is_short else 5.0)


def _commands_elsewhere(
    cluster: Cluster, directory: Path, rounds: int, is_short: bool
) -> list[Figure]:
    workers = len(cluster.members)
    figures = []
    if not is_short:
        parts = tuple(_over_ideal(cluster, directory / f"s{number}") for number in range(rounds))
        title = f"{_COMMANDS} commands of 1 s on {workers} nodes of one slot / ideal"
        figures.append(Figure(title, parts, "×", 1 / 0.95))
    each = tuple(_each_ms(cluster, directory / f"m{number}", number) for number in range(rounds))
    title = f"a command that does nothing, of {_MANY_COMMANDS}, on {workers} nodes in strict"
    figures.append(Figure(title, each, "ms", None if is_short else 10.0))
    return figures


if __name__ == "__main__":
    main()
