"""How long things take in virtual time: failover, joining, healing; and what an idle pool says.

The simulated network and disks are quick and the cores take no time at all, so these are bounds of
the protocols, not of the program.
"""

from __future__ import annotations

import json as json_format
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from buildnet.mesh.events import Status
from buildnet.mesh.simulation.agreement import disagreement, same_office
from buildnet.mesh.simulation.cluster import Cluster, start_machine
from buildnet.mesh.simulation.faults import Partition
from buildnet.mesh.simulation.formation import formed_disks
from buildnet.mesh.simulation.world import World

_STEP_S = 0.005
_MOST_S = 60.0


class NoAgreementError(Exception):
    """What was to be timed did not come about."""


@dataclass(frozen=True, slots=True)
class Weather:
    """What network a figure is measured on."""

    round_trip_s: float
    loss: float

    def __str__(self) -> str:
        lost = f", {self.loss:.0%} lost" if self.loss else ""
        return f"{self.round_trip_s * 1000:g} ms{lost}"


QUIET = Weather(0.001, 0.0)
FAR = Weather(0.05, 0.05)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value that ``percent`` of all do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def settled(nodes: int, seed: int, weather: Weather) -> tuple[World, Cluster]:
    """Return a cluster whose nodes agree and were left alone for a while."""
    world = World(seed, start_machine(False), round_trip_s=weather.round_trip_s, loss=weather.loss)
    cluster = Cluster(world, formed_disks(nodes))
    random = world.stream("figure")
    for host in world.hosts:
        world.timeline.at(random.uniform(0, 0.5), host.start)
    world.run(3)
    _until(world, lambda: disagreement(world) is None, step_s=0.1)
    world.run(random.uniform(2, 4))
    _until(world, lambda: disagreement(world) is None, step_s=0.1)
    return world, cluster


def failover_s(nodes: int, weather: Weather, frozen: bool, seed: int) -> float:
    """Return how long it takes from the coordinator's end until all others agree on one."""
    world, _ = settled(nodes, seed, weather)
    coordinator = world.coordinator()
    assert coordinator is not None
    if frozen:
        coordinator.pause()
    else:
        coordinator.kill()
    return _until(world, lambda: same_office(world))


def join_s(nodes: int, weather: Weather, seed: int) -> float:
    """Return how long it takes from a join until all others see the new node alive."""
    world, cluster = settled(nodes, seed, weather)
    sponsor = world.hosts[world.stream("sponsor").randrange(nodes)]
    newcomer = cluster.join(sponsor)
    return _until(
        world,
        lambda: all(
            host.program is not None and host.program.local.status.get(newcomer.key) is Status.ALIVE
            for host in world.hosts
            if host is not newcomer
        ),
    )


def heal_s(nodes: int, weather: Weather, parted_s: float, seed: int) -> float:
    """Return how long it takes from the end of a partition until all views are equal."""
    world, _ = settled(nodes, seed, weather)
    random = world.stream("partition")
    side = tuple(sorted(random.sample(range(nodes), nodes // 2)))
    partition = Partition(0, 0, side)
    partition.begin(world)
    world.run(parted_s + random.uniform(0, 1))
    partition.end(world)
    return _until(world, lambda: disagreement(world) is None, step_s=0.05)


def idle_bytes_per_s(nodes: int, seed: int) -> tuple[float, float]:
    """Return what the coordinator, and the busiest other node, send and receive when nothing
    happens."""
    world, _ = settled(nodes, seed, QUIET)
    before = {host: host.sent_bytes + host.received_bytes for host in world.hosts}
    seconds = 60.0
    world.run(seconds)
    coordinator = world.coordinator()
    rates = {
        host: (host.sent_bytes + host.received_bytes - before[host]) / seconds
        for host in world.hosts
    }
    assert coordinator is not None
    return rates[coordinator], max(rates[host] for host in world.hosts if host is not coordinator)


@dataclass(frozen=True, slots=True)
class Figure:
    """Something to measure, and what it shall not exceed (seconds; None: no promise)."""

    name: str
    measure: Callable[[int], float]
    p50_s: float | None
    p99_s: float | None


def figures() -> list[Figure]:
    """Return all figures that are measured in seconds; each takes a seed."""
    listed: list[Figure] = []
    for weather, p50_s, p99_s in ((QUIET, (0.3, 1.2), (1.0, 2.5)), (FAR, (None, None), (4.0, 4.0))):
        for nodes in (3, 5, 15):
            for frozen in (False, True):
                how = "frozen" if frozen else "killed"
                measure = partial(failover_s, nodes, weather, frozen)
                name = f"coordinator {how}, {nodes} nodes, {weather}"
                listed.append(Figure(name, measure, p50_s[frozen], p99_s[frozen]))
    listed.append(Figure("join seen by 30 nodes, 1 ms", partial(join_s, 30, QUIET), None, 1.0))
    for parted_s, goal_s in ((60.0, 10.0), (600.0, 35.0)):
        name = f"healed after {parted_s / 60:g} min, 5 nodes, 1 ms"
        listed.append(Figure(name, partial(heal_s, 5, QUIET, parted_s), None, goal_s))
    return listed


def measure_all(runs: int, *, json: bool) -> Iterator[str]:
    """Measure every figure ``runs`` times and yield a line for each."""
    for figure in figures():
        seconds, failed = [], []
        for seed in range(1, runs + 1):
            try:
                seconds.append(figure.measure(seed))
            except NoAgreementError:
                failed.append(seed)
        yield _line(figure, seconds, failed, json=json)
    coordinator, other = idle_bytes_per_s(15, 1)
    if json:
        yield json_format.dumps(
            {"figure": "idle, 15 nodes", "coordinator_bytes": coordinator, "other_bytes": other}
        )
    else:
        yield (
            f"idle, 15 nodes: coordinator {coordinator / 1000:.1f} kB/s, "
            f"any other at most {other / 1000:.1f} kB/s (messages and envelopes)"
        )


def _line(figure: Figure, seconds: list[float], failed: list[int], *, json: bool) -> str:
    measured = seconds or [math.nan]
    p50, p99, most = percentile(measured, 50), percentile(measured, 99), max(measured)
    if json:
        return json_format.dumps(
            {
                "figure": figure.name,
                "runs": len(seconds) + len(failed),
                "failed_seeds": failed,
                "p50_s": p50,
                "p99_s": p99,
                "max_s": most,
                "p50_goal_s": figure.p50_s,
                "p99_goal_s": figure.p99_s,
            }
        )
    goals = ", ".join(
        f"{name} {goal:g} s"
        for name, goal in (("p50", figure.p50_s), ("p99", figure.p99_s))
        if goal is not None
    )
    text = f"{figure.name}: p50 {p50:.2f} s, p99 {p99:.2f} s, most {most:.2f} s (goal {goals})"
    return f"{text}; never within {_MOST_S:g} s: seeds {failed}" if failed else text


def _until(world: World, reached: Callable[[], bool], *, step_s: float = _STEP_S) -> float:
    began = world.timeline.now
    while not reached():
        if world.timeline.now - began > _MOST_S:
            raise NoAgreementError
        world.run(step_s)
    return world.timeline.now - began
