"""Plans of builds, recorded or generated, and how long they take on hosts of different speed.

The simulation is that of the product's own cores: the build's state machine offers commands, the
placement chooses a slot. Only the clock and the commands are made up.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from buildnet.pool.build import Began, Build, Effect, Executed, Finish, MustRun, Resolve
from buildnet.pool.outlook import Outlook
from buildnet.pool.placement import AS_USUAL, Case, Host, Preferences, ranked
from buildnet.pool.places import Answer
from buildnet.pool.workspace import TaskId

HOSTS: Mapping[str, tuple[tuple[int, float], ...]] = {
    "3 like hosts": ((2, 1.0), (2, 1.0), (2, 1.0)),
    "2 slow hosts and a fast one": ((2, 1.0), (2, 1.0), (2, 2.0)),
    "hosts of 3 speeds": ((2, 1.0), (2, 0.5), (2, 2.0)),
}
"""Slots and speed of each host, the driver first."""
RECORDED = Path(__file__).resolve().parent.parent / "pool" / "plans"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a build runs: how long each task takes on a host of speed 1, and what it needs."""

    name: str
    durations_ms: Mapping[TaskId, float]
    dependencies: Mapping[TaskId, tuple[TaskId, ...]]

    @classmethod
    def read(cls, file: Path) -> Plan:
        """Read a plan that :meth:`write` wrote."""
        told = json.loads(file.read_text())
        ids = {name: TaskId(*name.split("#")) for name in told}
        return cls(
            file.stem,
            {ids[name]: each["ms"] for name, each in told.items()},
            {ids[name]: tuple(ids[need] for need in each["needs"]) for name, each in told.items()},
        )

    def write(self, directory: Path) -> None:
        """Keep it as a file of ``directory``."""
        told = {
            "#".join(task): {
                "ms": round(took_ms, 1),
                "needs": ["#".join(need) for need in self.dependencies[task]],
            }
            for task, took_ms in self.durations_ms.items()
        }
        (directory / f"{self.name}.json").write_text(json.dumps(told, indent=1) + "\n")

    @property
    def work_ms(self) -> float:
        """All commands one after the other, at speed 1."""
        return sum(self.durations_ms.values())

    @property
    def path_ms(self) -> float:
        """The longest chain, at speed 1."""
        ends: dict[TaskId, float] = {}

        def end(task: TaskId) -> float:
            if task not in ends:
                begin = max(map(end, self.dependencies[task]), default=0.0)
                ends[task] = begin + self.durations_ms[task]
            return ends[task]

        return max(map(end, self.durations_ms), default=0.0)

    def bound_ms(self, hosts: Sequence[Host]) -> float:
        """Return what no way of placing gets below: the longest chain on the fastest host, and all
        work on all slots."""
        speeds = [host.speed or 1.0 for host in hosts]
        power = sum(speed * (host.slots or 1) for host, speed in zip(hosts, speeds, strict=True))
        return max(self.path_ms / max(speeds), self.work_ms / power)


def generated(seed: int, tasks: int) -> Plan:
    """Return a plan as workspaces have them: layers of packages, each of which needs some of the
    layers before; few are long."""
    chance = random.Random(seed)
    ids = [TaskId(f"p{number}", "build") for number in range(tasks)]
    durations = {task: 200.0 * chance.paretovariate(1.6) for task in ids}
    dependencies: dict[TaskId, tuple[TaskId, ...]] = {}
    layers = max(2, round(tasks**0.4))
    size = -(-tasks // layers)
    for number, task in enumerate(ids):
        before = ids[: number // size * size]
        needs = min(len(before), chance.randrange(4))
        dependencies[task] = tuple(sorted(chance.sample(before, needs)))
    return Plan(f"generated-{seed}-{tasks}", durations, dependencies)


def hosts_of(*sizes: tuple[int, float]) -> list[Host]:
    """Return hosts of so many slots and such a speed; the first drives the build."""
    return [
        Host(
            bytes([number]),
            f"h{number}",
            slots=slots,
            free=slots,
            speed=speed,
            latency_ms=0.0 if number == 0 else 1.0,
            is_here=number == 0,
        )
        for number, (slots, speed) in enumerate(sizes)
    ]


@dataclass(slots=True)
class _Slots:
    """All slots of all hosts, as the places of one build."""

    hosts: Mapping[bytes, Host]
    preferences: Preferences
    durations_ms: Mapping[TaskId, float]
    now_ms: float = 0.0
    busy: Counter[bytes] = field(default_factory=Counter)
    placed: Counter[bytes] = field(default_factory=Counter)
    at: dict[TaskId, Host] = field(default_factory=dict)
    ends_ms: dict[TaskId, float] = field(default_factory=dict)
    outlook: Outlook = field(default_factory=lambda: Outlook(()))

    def sort(self, task: TaskId) -> int:
        return 0

    def begin(self) -> None:
        self.outlook = Outlook(
            (self.ends_ms[task] - self.now_ms, host.speed or 1.0) for task, host in self.at.items()
        )

    def take(self, task: TaskId) -> Answer:
        free = [host for host in self.hosts.values() if self.busy[host.key] < (host.slots or 1)]
        if not free:
            return Answer.FULL
        best = ranked(free, Case(placed=self.placed), self.preferences)[0]
        took_ms = self.durations_ms[task]
        if self.preferences.may_wait and self.outlook.waits(took_ms, best.speed or 1.0):
            return Answer.WAITS
        self.busy[best.key] += 1
        self.placed[best.key] += 1
        self.at[task] = best
        self.ends_ms[task] = self.now_ms + took_ms / (best.speed or 1.0)
        self.outlook.taken(took_ms / (best.speed or 1.0), best.speed or 1.0)
        return Answer.TAKEN

    def give_back(self, task: TaskId) -> None:
        self.busy[self.at.pop(task).key] -= 1


def makespan_ms(plan: Plan, hosts: Sequence[Host], preferences: Preferences = AS_USUAL) -> float:
    """Return how long a build takes; what its commands take is known beforehand."""
    places = _Slots({host.key: host for host in hosts}, preferences, plan.durations_ms)
    build = Build(plan.dependencies, places=places, durations_ms=plan.durations_ms)
    effects: list[Effect] = build.handle(Began())
    while True:
        more: list[Effect] = []
        for effect in effects:
            match effect:
                case Resolve(tasks):
                    more += build.handle(*map(MustRun, tasks))
                case Finish():
                    return places.now_ms
        effects = more
        if not effects:
            places.now_ms, task = min((places.ends_ms[task], task) for task in places.at)
            effects = build.handle(Executed(task, True))
