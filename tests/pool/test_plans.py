"""How good placement is: recorded and generated plans on simulated hosts of different speed."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildnet.pool.placement import Preferences
from buildnet.pool.workspace import TaskId
from testbed.plan_bounds import least_ms
from testbed.plans import HOSTS, RECORDED, Plan, generated, hosts_of, makespan_ms

FILES = sorted(RECORDED.glob("*.json"))
LARGE = RECORDED / "python-library.json"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.stem))
def test_recorded_plans_on_like_hosts_take_what_they_must(file: Path) -> None:
    plan, hosts = Plan.read(file), hosts_of(*HOSTS["3 like hosts"])
    assert makespan_ms(plan, hosts) <= 1.1 * plan.bound_ms(hosts)


@pytest.mark.parametrize("name", HOSTS)
def test_a_large_plan_takes_what_it_must_on_hosts_of_any_speed(name: str) -> None:
    plan, hosts = Plan.read(LARGE), hosts_of(*HOSTS[name])
    assert makespan_ms(plan, hosts) <= 1.1 * plan.bound_ms(hosts)


@pytest.mark.parametrize("name", HOSTS)
@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.stem))
def test_recorded_plans_take_what_they_must_on_hosts_of_any_speed(file: Path, name: str) -> None:
    plan, hosts = Plan.read(file), hosts_of(*HOSTS[name])
    assert makespan_ms(plan, hosts) <= 1.1 * least_ms(plan, hosts)


def test_equal_commands_take_at_least_what_whole_ones_take() -> None:
    tasks = [TaskId(f"p{number}", "build") for number in range(5)]
    plan = Plan("equal", dict.fromkeys(tasks, 100.0), dict.fromkeys(tasks, ()))
    hosts = hosts_of((2, 1.0), (1, 2.0))  # three in 100 ms: two there, one on each of the others
    assert plan.bound_ms(hosts) == 125.0
    assert least_ms(plan, hosts) == 150.0
    assert makespan_ms(plan, hosts) == 150.0


@pytest.mark.parametrize("name", HOSTS)
def test_no_plan_takes_less_than_is_said_to_be_the_least(name: str) -> None:
    hosts = hosts_of(*HOSTS[name])
    for seed in range(8):
        plan = generated(seed, 20)
        assert plan.bound_ms(hosts) <= least_ms(plan, hosts) <= makespan_ms(plan, hosts) + 1e-6


@pytest.mark.parametrize("name", HOSTS)
def test_most_generated_plans_come_near_to_what_they_must_take(name: str) -> None:
    hosts = hosts_of(*HOSTS[name])
    plans = [generated(seed, 60 + 20 * seed) for seed in range(11)]
    over = sorted(makespan_ms(plan, hosts) / plan.bound_ms(hosts) for plan in plans)
    assert over[len(over) // 2] <= 1.1, over
    assert over[-1] <= 1.25, over


def test_placing_by_speed_is_better_than_in_turn() -> None:
    hosts = hosts_of(*HOSTS["hosts of 3 speeds"])
    plans = [generated(seed, 60) for seed in range(8)]
    turns = Preferences(strategy="round_robin")
    in_turn = sum(makespan_ms(plan, hosts, turns) for plan in plans)
    assert sum(makespan_ms(plan, hosts) for plan in plans) < 0.9 * in_turn
