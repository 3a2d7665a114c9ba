"""What a lost host costs a build of the pool.

    uv run python tests/benchmarks/pool_faults.py [--rounds 3] [--short] [--json FILE]

Real nodes of two slots each on loopback addresses; one that does not coordinate is asked for a
build of sixty commands of a second that do not need each other. The coordinator, or another worker,
is killed (SIGKILL) or frozen (SIGSTOP) once ten commands have ended. The ideal is what the commands
alone take: on all slots until the host is lost, on those that are left from then on, with the
commands that ran there begun anew.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from pathlib import Path

from testbed.building import Building, many_commands
from testbed.figures import Figure, report
from testbed.nodes import Cluster, Node

_NODES = 4
_SLOTS = 2
_COMMANDS = 60
_ENDED_BEFORE = 10


def _ideal_s(lost_s: float) -> float:
    """Return how long the commands take if a host is lost after ``lost_s``."""
    all_slots = _NODES * _SLOTS
    ended = int(lost_s) * all_slots
    # Where others run meanwhile they end as they would; those of the lost host begin anew.
    left = all_slots - _SLOTS
    return int(lost_s) + math.ceil((_COMMANDS - ended) / left)


def _lose(cluster: Cluster, root: Path, way: str, what: str) -> tuple[float, int]:
    """Build, and lose a host meanwhile; return the seconds over the ideal, and how many commands
    that had ended began again."""
    office = cluster.settle()
    coordinator = cluster.coordinator(office)
    driver, worker, *_ = (node for node in cluster.members if node is not coordinator)
    victim = coordinator if what == "coordinator" else worker
    many_commands(root, str(root), "sleep 1; cp in.txt out.txt", _COMMANDS)
    began = time.perf_counter()
    building = Building(driver, root)
    building.until("task_finished", _ENDED_BEFORE)
    lost_s = time.perf_counter() - began
    getattr(victim, way)()
    told = building.report()
    over_s = time.perf_counter() - began - _ideal_s(lost_s)
    if told["status"] != "succeeded" or len(told["packages"]) != _COMMANDS:
        raise RuntimeError(f"the build ended as {told['status']}")
    _come_back(victim, way)
    ended: set[str] = set()
    again = 0
    for event in building.events:
        if event["type"] == "task_finished":
            ended.add(event["name"])
        again += event["type"] == "task_started" and event["name"] in ended
    return over_s, again


def _come_back(victim: Node, way: str) -> None:
    if way == "kill":
        victim.start()
    else:
        victim.thaw()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--short", action="store_true", help="one round, for CI")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    rounds = 1 if arguments.short else arguments.rounds
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="buildnet-faults-") as name:
        cluster = Cluster(Path(name) / "nodes", _NODES)
        for node in cluster.members:
            node.home.directory.mkdir(parents=True)
            node.home.config.write_text(f"workers: {{max: {_SLOTS}}}\n")
        with cluster:
            repeated = 0
            for way, what in (
                ("kill", "coordinator"),
                ("kill", "worker"),
                ("freeze", "coordinator"),
                ("freeze", "worker"),
            ):
                runs = [
                    _lose(cluster, Path(name) / f"{way}-{what}-{number}", way, what)
                    for number in range(rounds)
                ]
                repeated += sum(again for _, again in runs)
                words = {"kill": "killed", "freeze": "frozen"}[way]
                title = f"{what} {words} in a build of {_COMMANDS} commands of 1 s: over the ideal"
                goal = 4.0 if way == "kill" and not arguments.short else None
                values = tuple(over_s for over_s, _ in runs)
                figures.append(Figure(title, values, "s", goal, goal))
            figures.append(Figure("ended commands that ran again", (float(repeated),), "", 0.0))
    report("The pool loses hosts", figures, arguments.json)


if __name__ == "__main__":
    main()
