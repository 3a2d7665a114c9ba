"""How long until the survivors agree on another coordinator, killed or frozen; and etcd's time.

    uv run python tests/benchmarks/mesh_failover.py [--nodes 3,5,15] [--runs 20] [--etcd 3,5]
        [--delay MS --loss SHARE] [--short] [--json FILE]

Real processes on this machine, joined over the loopback address. In each run the coordinator is
killed (SIGKILL) and, once all have agreed, started again and waited for; then the coordinator is
frozen (SIGSTOP), and thawed once the others agree. Measured from the signal to the moment when the
last survivor was seen to tell of a coordinator with a majority in a higher term; looking costs up
to 5 ms. etcd (3.4, default timing) is put through the same. With ``--delay`` (milliseconds one
way) and ``--loss`` (of segments) the nodes reach each other through proxies; etcd does not.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from testbed import etcd
from testbed.fault_proxy import Faults
from testbed.figures import Figure, report
from testbed.nodes import Cluster
from testbed.offices import Member, Office, agreement, of_quorum, successor_of

Goals = tuple[float | None, float | None]
KILLED_GOALS: Goals = (0.3, 1.0)
FROZEN_GOALS: Goals = (1.2, 2.5)
BAD_NETWORK_GOALS: Goals = (None, 4.0)
NO_GOALS: Goals = (None, None)


@dataclass(slots=True)
class Times:
    """Seconds of each run."""

    killed: list[float] = field(default_factory=list)
    frozen: list[float] = field(default_factory=list)
    thawed: list[float] = field(default_factory=list)
    claims: list[float] = field(default_factory=list)


def measure(members: Sequence[Member], settle: Callable[[], Office], runs: int) -> Times:
    """Kill, start, freeze and thaw the coordinator ``runs`` times."""
    times = Times()
    for _ in range(runs):
        for action, taken in (("kill", times.killed), ("freeze", times.frozen)):
            before = settle()
            victim = next(each for each in members if each.identity == before.coordinator)
            others = [each for each in members if each is not victim]
            started = time.perf_counter()
            getattr(victim, action)()
            after, seen_at = agreement(others, successor_of(before))
            taken.append(seen_at - started)
            if action == "kill":
                victim.start()
            else:
                thawed_s, claims = thaw(victim, members, before, after)
                times.thawed.append(thawed_s)
                times.claims.append(claims)
    return times


def thaw(
    victim: Member, members: Sequence[Member], before: Office, after: Office
) -> tuple[float, int]:
    """Thaw ``victim``; return the seconds until it holds no old office any more, and how often it
    claimed in the meantime to coordinate the old term with a majority."""
    claims = 0
    started = time.perf_counter()
    victim.thaw()
    while (office := victim.office()) is None or office.term < after.term:
        claims += office is not None and office.quorum and office.coordinator == before.coordinator
    took = time.perf_counter() - started
    agreement(members, lambda office: of_quorum(office) and office.term >= after.term)
    return took, claims


def figures_of(name: str, times: Times, killed: Goals, frozen: Goals) -> list[Figure]:
    """Return the figures of one cluster, against goals for the median and the worst."""
    claims = None if frozen == NO_GOALS else 0.0
    return [
        Figure(f"{name}: killed, the others agree", tuple(times.killed), "s", *killed),
        Figure(f"{name}: frozen, the others agree", tuple(times.frozen), "s", *frozen),
        Figure(f"{name}: thawed, it steps down", tuple(times.thawed), "s"),
        Figure(f"{name}: thawed, claims of the old term", tuple(times.claims), "", None, claims),
    ]


def of_nodes(size: int, runs: int, faults: Faults | None) -> list[Figure]:
    """Measure a cluster of ``size`` nodes."""
    with (
        tempfile.TemporaryDirectory(prefix="buildnet-failover-") as directory,
        Cluster(Path(directory), size, faults=faults) as cluster,
    ):
        times = measure(cluster.members, cluster.settle, runs)
    if faults is None:
        return figures_of(f"{size} nodes", times, KILLED_GOALS, FROZEN_GOALS)
    return figures_of(f"{size} nodes, bad network", times, BAD_NETWORK_GOALS, BAD_NETWORK_GOALS)


def of_etcd(size: int, runs: int) -> list[Figure]:
    """Measure a cluster of ``size`` etcd servers."""
    with (
        tempfile.TemporaryDirectory(prefix="buildnet-etcd-") as directory,
        etcd.EtcdCluster(Path(directory), size) as cluster,
    ):

        def settle() -> Office:
            return agreement(cluster.members, of_quorum)[0]

        times = measure(cluster.members, settle, runs)
    return figures_of(f"etcd, {size}", times, NO_GOALS, NO_GOALS)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nodes", default="3,5,15", help="sizes of clusters")
    parser.add_argument("--etcd", default="3,5", help="sizes of etcd's clusters; empty: none")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--delay", type=float, default=0.0, help="milliseconds, one way")
    parser.add_argument("--loss", type=float, default=0.0, help="share of segments, such as 0.05")
    parser.add_argument("--short", action="store_true", help="three nodes, 3 runs, for CI")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    if arguments.short:
        arguments.nodes, arguments.etcd, arguments.runs = "3", "", 3
    faults = None
    if arguments.delay or arguments.loss:
        faults = Faults(delay_s=arguments.delay / 1000, loss=arguments.loss)
    figures: list[Figure] = []
    for size in sizes(arguments.nodes):
        figures += of_nodes(size, arguments.runs, faults)
    for size in sizes(arguments.etcd):
        if (reason := etcd.why_not()) is not None:
            print(f"no comparison: {reason}")
            break
        figures += of_etcd(size, arguments.runs)
    report("Failover", figures, arguments.json)
    return 0


def sizes(text: str) -> list[int]:
    """Read ``3,5,15``."""
    return [int(part) for part in text.split(",") if part]


if __name__ == "__main__":
    sys.exit(main())
