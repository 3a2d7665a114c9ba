"""What nodes do for each other: hits of the pool's cache.

    uv run python tests/benchmarks/pool.py [--rounds 9] [--short] [--json FILE]

Two real nodes on loopback addresses; one has built what the other asks for. Times are those of the
whole build in the node that asks, delivery into the workspace included.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from testbed.figures import Figure, report
from testbed.nodes import Cluster, Node

_LARGE_BYTES = 10 << 20
_PACKAGES = 100
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
"""


def _took_ms(pair: Cluster, directory: Path, packages: int, round_number: int) -> float:
    """Build on one node, then on the other; return how long that took."""
    one, other = pair.members
    for node in (one, other):
        _write(directory / node.name, packages, round_number)
    _build(one, directory / one.name, "full")
    return _build(other, directory / other.name, "pool-cache")


def _write(root: Path, packages: int, round_number: int) -> None:
    root.mkdir(parents=True)
    if packages == 1:
        (root / "buildnet.yaml").write_text(_LARGE.format(size=_LARGE_BYTES))
        (root / "in.txt").write_text(f"{round_number}\n")
        return
    parts = [_MANY.format(number=number) for number in range(packages)]
    (root / "buildnet.yaml").write_text(f"workspace: many\npackages:{''.join(parts)}")
    for number in range(packages):
        (root / f"p{number}").mkdir()
        (root / f"p{number}/in.txt").write_text(f"{round_number} {number}\n")


def _build(node: Node, root: Path, tier: str) -> float:
    told = node.command.build(root)
    tiers = {each["tier"] for each in told["packages"]}
    if tiers != {tier}:
        raise RuntimeError(f"{node.name} took {tiers}, not {tier}")
    return float(told["duration_ms"])


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
    report("The pool", figures, arguments.json)


if __name__ == "__main__":
    main()
