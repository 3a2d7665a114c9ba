"""How good placement is: recorded and generated plans on simulated hosts of different speed."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildnet.pool.placement import Preferences
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
def test_most_generated_plans_come_near_to_what_they_must_take(name: str) -> None:
    hosts = hosts_of(*HOSTS[name])
    plans = [generated(seed, 60 + 20 * seed) for seed in range(11)]
    over = sorted(makespan_ms(plan, hosts) / plan.bound_ms(hosts) for plan in plans)
    assert over[len(over) // 2] <= 1.1, over
    assert over[-1] <= 1.5, over


def test_placing_by_speed_is_better_than_in_turn() -> None:
    hosts = hosts_of(*HOSTS["hosts of 3 speeds"])
    plans = [generated(seed, 60) for seed in range(8)]
    turns = Preferences(strategy="round_robin")
    in_turn = sum(makespan_ms(plan, hosts, turns) for plan in plans)
    assert sum(makespan_ms(plan, hosts) for plan in plans) < 0.9 * in_turn
