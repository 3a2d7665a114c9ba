"""How long until a node that joins is seen by all.

    uv run python tests/benchmarks/mesh_join.py [--nodes 30] [--runs 20] [--short] [--json FILE]

Real processes on this machine. The last of ``--nodes`` nodes joins the others with a token, and is
measured from the request to its own API until the last of the others believed it alive; then it
leaves, and joins again. Nobody is asked meanwhile: thirty nodes that make links on a few cores have
no time for it. Afterwards each node tells for how long it has believed so, to 0.1 s; the latest
moment that this may mean is taken.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from testbed.figures import Figure, report
from testbed.nodes import Cluster, Node, health, invite, join

GOAL_P99_S = 1.0
QUIET_S = 2.0
ROUNDING_S = 0.05
_LOOK_AGAIN_S = 0.05
_PATIENCE_S = 60.0


def measure(cluster: Cluster, runs: int) -> tuple[list[float], list[float]]:
    """Let the last member leave and join ``runs`` times; return seconds until it was a member, and
    until all others saw it."""
    *others, joiner = cluster.members
    joined: list[float] = []
    visible: list[float] = []
    size = len(cluster.members)
    for _ in range(runs):
        joiner.post("/api/pool/leave", {})
        for node in others:
            until_sees(node, size - 1)
        token = invite(others[0])
        time.sleep(QUIET_S)
        started = time.perf_counter()
        join(joiner, others[0], token)
        joined.append(time.perf_counter() - started)
        time.sleep(QUIET_S)
        for node in cluster.members:
            until_sees(node, size)
        visible.append(max(seen_at(node, joiner) for node in others) - started)
    return joined, visible


def seen_at(node: Node, other: Node) -> float:
    """Return when ``node`` began to believe ``other`` alive, at the latest (perf_counter)."""
    told = {each["id"]: each for each in health(node)["nodes"]}[other.identity]
    assert told["reachable"]
    return time.perf_counter() - float(told["status_for_s"]) + ROUNDING_S


def until_sees(node: Node, count: int) -> None:
    """Wait until ``node`` lists ``count`` members and sees them all alive."""
    deadline = time.monotonic() + _PATIENCE_S
    while not (told := node.get("/api/node")["cluster"])["members"] == told["reachable"] == count:
        if time.monotonic() > deadline:
            raise AssertionError(f"{node.name} does not see {count} nodes, but {told}")
        time.sleep(_LOOK_AGAIN_S)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nodes", type=int, default=30)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--short", action="store_true", help="four nodes, 3 runs, for CI")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    nodes, runs = (4, 3) if arguments.short else (arguments.nodes, arguments.runs)
    with (
        tempfile.TemporaryDirectory(prefix="buildnet-join-") as directory,
        Cluster(Path(directory), nodes) as cluster,
    ):
        joined, visible = measure(cluster, runs)
    figures = [
        Figure(f"{nodes} nodes: the last one has joined", tuple(joined), "s"),
        Figure(f"{nodes} nodes: all others see it alive", tuple(visible), "s", None, GOAL_P99_S),
    ]
    report("Joining", figures, arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
