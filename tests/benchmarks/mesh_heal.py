"""How long until a healed partition has one coordinator and equal views again.

    uv run python tests/benchmarks/mesh_heal.py [--nodes 5] [--runs 20] [--parted 60] [--short]
        [--json FILE]

Nodes in network namespaces (needs root, iproute2 and iptables). In each run the coordinator and, of
five nodes, one more are cut off from the majority by iptables for ``--parted`` seconds, long enough
for redialling to have backed off. Measured from the removal of the rules until all nodes tell of
one coordinator with a majority in one term and see each other alive. Also: until the majority has
another coordinator after the cut, and what the minority says of itself.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from testbed.figures import Figure, report
from testbed.namespaces import Host, Network, why_not
from testbed.nodes import Cluster, Node
from testbed.offices import agreement, successor_of

GOAL_P99_S = 10.0
CUT_GOALS = (1.2, 2.5)


def measure(network: Network, cluster: Cluster, runs: int, parted_s: float) -> list[Figure]:
    """Part and heal ``runs`` times."""
    size = len(cluster.members)
    replaced: list[float] = []
    provisional: list[float] = []
    healed: list[float] = []
    for _ in range(runs):
        before = cluster.settle()
        old = cluster.coordinator(before)
        rest = [node for node in cluster.members if node is not old]
        minority, majority = [old, *rest[: (size - 1) // 2 - 1]], rest[(size - 1) // 2 - 1 :]
        started = time.perf_counter()
        network.partition(hosts_of(minority), hosts_of(majority))
        cut = time.perf_counter()
        after, seen_at = agreement(majority, successor_of(before))
        replaced.append(seen_at - started)
        _, seen_at = agreement(minority, lambda office: not office.quorum)
        provisional.append(seen_at - started)
        time.sleep(max(0.0, parted_s - (time.perf_counter() - cut)))
        started = time.perf_counter()
        network.heal()
        office = cluster.settle()
        healed.append(time.perf_counter() - started)
        assert office.term >= after.term
    return [
        Figure(f"{size} nodes: cut off, the majority agrees", tuple(replaced), "s", *CUT_GOALS),
        Figure(f"{size} nodes: cut off, the minority says so", tuple(provisional), "s"),
        Figure(
            f"{size} nodes: healed after {parted_s:g} s, equal views",
            tuple(healed),
            "s",
            None,
            GOAL_P99_S,
        ),
    ]


def hosts_of(nodes: list[Node]) -> list[Host]:
    """Return the hosts of nodes."""
    return [node.host for node in nodes if node.host is not None]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nodes", type=int, default=5)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--parted", type=float, default=60.0, help="seconds")
    parser.add_argument("--short", action="store_true", help="three nodes, 1 run, 5 s, for CI")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    if (reason := why_not()) is not None:
        print(f"nothing was measured: {reason}")
        return 0
    if arguments.short:
        arguments.nodes, arguments.runs, arguments.parted = 3, 1, 5.0
    with (
        tempfile.TemporaryDirectory(prefix="buildnet-heal-") as directory,
        Network(arguments.nodes) as network,
        Cluster(Path(directory), arguments.nodes, hosts=network.hosts) as cluster,
    ):
        figures = measure(network, cluster, arguments.runs, arguments.parted)
    report("Partitions", figures, arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
