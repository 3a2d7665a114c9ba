"""A build played through, against the real state machine of builds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildnet.pool.estimation.simulation import (
    HERE,
    NOWHERE,
    SimulatedHost,
    Simulation,
    Step,
    Takes,
)
from buildnet.pool.workspace import TaskId
from testbed.plans import HOSTS, Plan, generated, hosts_of, makespan_ms


def played(plan: Plan, sizes: tuple[tuple[int, float], ...]) -> float:
    """Return how long a plan takes in the simulation."""
    tasks = sorted(plan.durations_ms)
    order: list[TaskId] = []
    while len(order) < len(tasks):  # of equals the first by name comes first, as in a build
        order += [
            task
            for task in tasks
            if task not in order and all(each in order for each in plan.dependencies[task])
        ]
    numbers = {task: place for place, task in enumerate(order)}
    steps = [
        Step(tuple(numbers[each] for each in plan.dependencies[task]), may_move=True)
        for task in order
    ]
    took = [plan.durations_ms[task] for task in order]
    hosts = [SimulatedHost(slots, speed) for slots, speed in sizes]
    return Simulation(steps, hosts, took).play(Takes(took, took, [True] * len(took))).end_ms


@given(seed=st.integers(0, 1000), tasks=st.integers(1, 40), slots=st.integers(1, 4))
def test_on_one_host_it_takes_what_the_real_build_takes(seed: int, tasks: int, slots: int) -> None:
    plan, sizes = generated(seed, tasks), ((slots, 1.0),)
    assert played(plan, sizes) == pytest.approx(makespan_ms(plan, hosts_of(*sizes)))


@pytest.mark.parametrize("name", HOSTS)
def test_on_several_hosts_it_takes_nearly_what_the_real_build_takes(name: str) -> None:
    ratios = []
    for seed in range(12):
        plan = generated(seed, 50)
        ratios.append(played(plan, HOSTS[name]) / makespan_ms(plan, hosts_of(*HOSTS[name])))
    assert 0.95 < sum(ratios) / len(ratios) < 1.05
    assert all(0.8 < each < 1.2 for each in ratios)


def test_what_is_large_and_urgent_is_not_overtaken_and_what_may_not_move_stays() -> None:
    steps = [Step(), Step(slots=2), Step(slots=1)]
    takes = Takes([10.0, 50.0, 5.0], [10.0, 50.0, 5.0], [True] * 3)
    one = Simulation(steps, [SimulatedHost(2)], [10.0, 50.0, 5.0]).play(takes)
    assert one.began_ms == [50.0, 0.0, 50.0]
    two = Simulation(steps, [SimulatedHost(2), SimulatedHost(8, 10.0)], [10.0, 50.0, 5.0])
    assert set(two.play(takes).hosts) == {HERE}


def test_transfers_count_and_what_is_found_needs_no_slot() -> None:
    steps = [Step(may_move=True), Step(needs=(0,)), Step()]
    hosts = [SimulatedHost(1), SimulatedHost(1, 4.0)]
    simulation = Simulation(steps, hosts, [100.0, 0.0, 0.0])
    away = simulation.play(Takes([100.0, 7.0, 3.0], [80.0, 0.0, 0.0], [True, False, False], 30.0))
    assert away.hosts == [1, NOWHERE, NOWHERE]
    assert away.ended_ms == [50.0, 57.0, 3.0]
    far = simulation.play(Takes([100.0, 7.0, 3.0], [80.0, 0.0, 0.0], [True, False, False], 90.0))
    assert far.hosts[0] == HERE


def test_what_runs_already_keeps_its_slot() -> None:
    steps = [Step(running_on=HERE), Step()]
    went = Simulation(steps, [SimulatedHost(1)], [40.0, 10.0]).play(
        Takes([40.0, 10.0], [0.0, 0.0], [True, True])
    )
    assert went.began_ms == [0.0, 40.0]
    assert went.end_ms == 50.0


@st.composite
def scenes(draw: st.DrawFn) -> tuple[list[Step], list[SimulatedHost], Takes]:
    hosts = [
        SimulatedHost(draw(st.integers(1, 3)), draw(st.sampled_from((0.5, 1.0, 2.0))))
        for _ in range(draw(st.integers(1, 3)))
    ]
    steps: list[Step] = []
    for number in range(draw(st.integers(0, 12))):
        before = st.integers(0, number - 1) if number else st.nothing()
        needs = draw(st.sets(before, max_size=3)) if number else set()
        steps.append(Step(tuple(needs), draw(st.integers(1, 4)), draw(st.booleans())))
    took = st.lists(st.floats(0, 1000), min_size=len(steps), max_size=len(steps))
    runs = st.lists(st.booleans(), min_size=len(steps), max_size=len(steps))
    return steps, hosts, Takes(draw(took), draw(took), draw(runs), draw(st.floats(0, 50)))


@given(scenes())
def test_all_of_it_ends_in_order_and_nowhere_runs_more_than_there_is_room_for(
    scene: tuple[list[Step], list[SimulatedHost], Takes],
) -> None:
    steps, hosts, takes = scene
    went = Simulation(steps, hosts, takes.here_ms).play(takes)
    for number, step in enumerate(steps):
        assert went.began_ms[number] <= went.ended_ms[number] <= went.end_ms
        assert all(went.ended_ms[each] <= went.began_ms[number] for each in step.needs)
        assert (went.hosts[number] == NOWHERE) == (not takes.runs[number])
        assert step.may_move or went.hosts[number] <= HERE
        at = went.began_ms[number]
        for place, host in enumerate(hosts):
            used = sum(
                min(steps[each].slots, hosts[HERE].slots)
                for each in range(len(steps))
                if went.hosts[each] == place and went.began_ms[each] <= at < went.ended_ms[each]
            )
            assert used <= host.slots
