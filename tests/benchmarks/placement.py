"""Placement alone: how many a second, and how good it is on recorded and generated plans.

    uv run python tests/benchmarks/placement.py [--plans 200] [--short] [--json FILE]
    uv run python tests/benchmarks/placement.py --record WORKSPACE

Quality is the time that a build takes in the simulator (testbed/plans.py) over the larger of its
longest chain on the fastest host and all work on all slots (*bound*), which no placement can get
below. Some plans have none that gets near it: generated ones, and a few long commands on unequal
hosts, as fractal's. So there is a second one (*least*, testbed/plan_bounds.py), that counts
commands as a whole, and what has to precede and to follow them.
``--record`` builds a workspace on a node of its own and keeps what it took in tests/pool/plans.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from buildnet.pool.experience import Experience
from buildnet.pool.placement import Case, Host, Needs, Preferences, objection, ranked
from buildnet.pool.workspace import TaskId, load_workspace
from testbed.figures import Figure, report
from testbed.nodes import Cluster
from testbed.plan_bounds import least_ms
from testbed.plans import HOSTS, RECORDED, Plan, generated, hosts_of, makespan_ms

_PLACEMENTS = 2000
_SIZES = (20, 60, 200, 500)


def placements_per_s(count: int) -> float:
    """Filter and rank ``count`` hosts for one command after the other; return how many a second of
    processor time."""
    hosts = [
        Host(
            number.to_bytes(4, "big"),
            f"h{number}",
            slots=8,
            free=number % 9,
            speed=100.0 + number % 7 * 30,
            latency_ms=0.2 + number % 5,
            programs={"node": frozenset({"20.1"})},
            platform=("linux", "x86_64"),
            is_here=number == 0,
        )
        for number in range(count)
    ]
    needs, preferences, experience = Needs(tools=frozenset({"node"})), Preferences(), Experience()
    for number, host in enumerate(hosts):
        experience.ran(host.key, "kind", 1000.0 + number, host.speed)
    case = Case("kind", 100_000, {host.key: 1000 * n for n, host in enumerate(hosts[::3])})
    began = time.process_time()
    for _ in range(_PLACEMENTS):
        fit = [host for host in hosts if objection(host, needs, preferences, hosts[0]) is None]
        ranked(fit, case, preferences, experience)
    return _PLACEMENTS / (time.process_time() - began)


def over_bounds(
    plans: Iterable[Plan], hosts: list[Host]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return for each plan how much longer it takes than the one bound, and than the other."""
    took = [(plan, makespan_ms(plan, hosts)) for plan in plans]
    return (
        tuple(took_ms / plan.bound_ms(hosts) for plan, took_ms in took),
        tuple(took_ms / least_ms(plan, hosts) for plan, took_ms in took),
    )


def record(root: Path) -> None:
    """Build a workspace, all tasks of it, and keep what that took."""
    workspace = load_workspace(root)
    with (
        tempfile.TemporaryDirectory(prefix="buildnet-plan-") as name,
        Cluster(Path(name), 1, bare=False) as cluster,
    ):
        took: dict[TaskId, float] = {}
        for task in dict.fromkeys(each.name for each in workspace.tasks()):
            told = cluster.members[0].command.build(root, "--task", task, "--force")
            for each in told["packages"]:
                if each["tier"] == "full":
                    took[TaskId(each["name"], each["task"])] = each["duration_ms"]
    needs = {
        task.id: tuple(each for each in task.depends_on if each in took)
        for task in workspace.tasks()
        if task.id in took
    }
    Plan(workspace.name, took, needs).write(RECORDED)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--plans", type=int, default=200, help="so many generated ones")
    parser.add_argument("--short", action="store_true", help="for CI: few plans")
    parser.add_argument("--record", type=Path, help="build this workspace, keep it as a plan")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    if arguments.record is not None:
        record(arguments.record)
        return
    figures = []
    for count, goal in ((8, 1.0), (100, 1.0)):
        each_ms = tuple(1000 / placements_per_s(count) for _ in range(3))
        figures.append(Figure(f"a placement, of {count} hosts", each_ms, "ms", goal))
    recorded = [Plan.read(file) for file in sorted(RECORDED.glob("*.json"))]
    plans = 12 if arguments.short else arguments.plans
    made = [generated(seed, _SIZES[seed % len(_SIZES)]) for seed in range(plans)]
    for name, sizes in HOSTS.items():
        hosts = hosts_of(*sizes)
        for title, plans_there, worst in (
            (f"{len(recorded)} recorded plans on {name}", recorded, 1.1),
            (f"{plans} generated plans on {name}", made, None),
        ):
            bound, least = over_bounds(plans_there, hosts)
            most = worst if len({speed for _, speed in sizes}) == 1 else None
            figures.append(Figure(f"{title} / bound", bound, "×", 1.1, most))
            figures.append(Figure(f"{title} / least", least, "×", 1.1, worst))
    report("Placement", figures, arguments.json)


if __name__ == "__main__":
    main()
