"""Crashes, freezes and partitions at random, of real nodes, and whether the mesh keeps its word.

    uv run python tests/benchmarks/mesh_chaos.py [--nodes 5] [--minutes 10] [--seed N] [--short]

Nodes in network namespaces (needs root, iproute2 and iptables). All the time every node is asked
who coordinates: no granted term may have two coordinators, and no node may go back to an older one.
At the end everything is healed, and all must agree and see each other within 35 s. Processes and
timing are real, so a seed repeats the faults, not the run.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from testbed.chaos import Chaos, check_logs
from testbed.namespaces import Network, why_not
from testbed.nodes import Cluster

ROUND_S = 30.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nodes", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--short", action="store_true", help="15 s, for CI")
    arguments = parser.parse_args()
    if (reason := why_not()) is not None:
        print(f"nothing was tried: {reason}")
        return 0
    seconds = 15.0 if arguments.short else arguments.minutes * 60
    print(f"seed {arguments.seed}")
    with (
        tempfile.TemporaryDirectory(prefix="buildnet-chaos-") as directory,
        Network(arguments.nodes) as network,
        Cluster(Path(directory), arguments.nodes, hosts=network.hosts) as cluster,
    ):
        chaos = Chaos(network, cluster, arguments.seed)
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            started = time.monotonic()
            office = chaos.run(min(ROUND_S, left))
            took = time.monotonic() - started
            print(f"{took:.0f} s, {dict(chaos.done)}; then term {office.term}", flush=True)
        check_logs(cluster)
    print(f"{chaos.watch.looks} looks, {len(chaos.watch.holders)} terms, nothing broken")
    return 0


if __name__ == "__main__":
    sys.exit(main())
