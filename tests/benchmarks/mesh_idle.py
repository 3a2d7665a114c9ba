"""What an idle cluster costs: CPU and bytes of each node.

    uv run python tests/benchmarks/mesh_idle.py [--nodes 15] [--seconds 60] [--short] [--json FILE]

Real processes, in network namespaces where that is permitted (then the kernel's counters of each
host's interface stand beside the node's own), else on the loopback address. CPU is that of the
process (user and system), in percent of one core; bytes are both directions together; one value is
one node's mean over the time measured. Nobody asks the nodes for anything meanwhile. The machine
must be quiet otherwise: nodes tell each other when the load of their host changes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from testbed.figures import Figure, report
from testbed.namespaces import Network, why_not
from testbed.nodes import Cluster, Node, health

FOLLOWER_CPU_PERCENT, FOLLOWER_BYTES = 2.0, 8.0
COORDINATOR_CPU_PERCENT, COORDINATOR_BYTES = 4.0, 40.0
SETTLED_AFTER_S = 15.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What a node used so far: CPU seconds, bytes by its own count, bytes on the wire (None: not
    known), resident memory."""

    cpu_s: float
    bytes: int
    wire_bytes: int | None
    resident_bytes: int


def cost(node: Node) -> Cost:
    """Return what ``node`` used so far."""
    traffic = health(node)["traffic"]
    node.hang_up()
    process = node.process
    times = process.cpu_times()
    return Cost(
        times.user + times.system,
        traffic["bytes_sent"] + traffic["bytes_received"],
        sum(node.host.bytes_passed()) if node.host else None,
        process.memory_info().rss,
    )


def measure(cluster: Cluster, seconds: float, settle_s: float) -> list[Figure]:
    """Let the cluster be for ``seconds``, after ``settle_s`` that do not count."""
    cluster.settle()
    time.sleep(settle_s)  # what was new at the start has been told by then
    office = cluster.settle()
    for node in cluster.members:
        node.hang_up()
    before = {node.name: cost(node) for node in cluster.members}
    started = time.perf_counter()
    time.sleep(seconds)
    took_s = time.perf_counter() - started
    after = {node.name: cost(node) for node in cluster.members}
    if cluster.settle() != office:
        raise AssertionError("there was an election meanwhile")
    coordinator = cluster.coordinator(office).name
    figures: list[Figure] = []
    for who, names, cpu_goal, bytes_goal in (
        ("coordinator", [coordinator], COORDINATOR_CPU_PERCENT, COORDINATOR_BYTES),
        (
            "follower",
            [node.name for node in cluster.members if node.name != coordinator],
            FOLLOWER_CPU_PERCENT,
            FOLLOWER_BYTES,
        ),
    ):
        pairs = [(before[name], after[name]) for name in names]
        cpu = tuple((late.cpu_s - early.cpu_s) / took_s * 100 for early, late in pairs)
        told = tuple((late.bytes - early.bytes) / took_s / 1000 for early, late in pairs)
        wire = tuple(
            (late.wire_bytes - early.wire_bytes) / took_s / 1000
            for early, late in pairs
            if late.wire_bytes is not None and early.wire_bytes is not None
        )
        memory = tuple(late.resident_bytes / 1e6 for _, late in pairs)
        figures += [
            Figure(f"{who}: CPU", cpu, "% of a core", cpu_goal, cpu_goal),
            Figure(f"{who}: bytes by its own count", told, "kB/s", bytes_goal, bytes_goal),
        ]
        if wire:
            # TCP's headers and acknowledgements included, which the goal does not count.
            figures.append(Figure(f"{who}: bytes on the wire", wire, "kB/s"))
        figures.append(Figure(f"{who}: resident memory", memory, "MB"))
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nodes", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--short", action="store_true", help="three nodes, 5 s, for CI")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    settle_s = SETTLED_AFTER_S
    if arguments.short:
        arguments.nodes, arguments.seconds, settle_s = 3, 5.0, 3.0
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="buildnet-idle-")))
        reason = why_not()
        hosts = stack.enter_context(Network(arguments.nodes)).hosts if reason is None else ()
        if reason is not None:
            print(f"on the loopback address: {reason}")
        cluster = stack.enter_context(Cluster(directory, arguments.nodes, hosts=hosts))
        figures = measure(cluster, arguments.seconds, settle_s)
    report(f"{arguments.nodes} idle nodes", figures, arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
