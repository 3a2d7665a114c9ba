"""One build's estimate as it goes on: what it looks at, what it tells and what is learned."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from buildnet.node.estimates import Estimates
from buildnet.node.forecasting import BuildForecast
from buildnet.node.report import TaskReport
from buildnet.node.resolve import Prepared, Tier
from buildnet.node.store import Store
from buildnet.pool.action import ActionSpec, encode_action
from buildnet.pool.build import Status
from buildnet.pool.estimation.piece import Fate
from buildnet.pool.estimation.sample import Sample
from buildnet.pool.estimation.simulation import SimulatedHost
from buildnet.pool.timeline import EXECUTION, QUEUE, Part, Timeline
from buildnet.pool.tree import EMPTY_TREE
from buildnet.pool.workspace import Task, TaskId, Workspace

HERE, THERE = "here", "there"
CORE, APP, DOCS = (TaskId(name, "build") for name in ("core", "app", "docs"))
TASKS = {
    CORE: Task("core", "build", "true", "core"),
    APP: Task("app", "build", "true", "app", depends_on=(CORE,)),
    DOCS: Task("docs", "build", "true", "docs"),
}


class Rested(Exception):
    """It has looked ahead, and would wait before it does so again."""


async def rest(seconds: float) -> None:
    raise Rested


@dataclass
class Scene:
    """A build that goes as a test says."""

    estimates: Estimates
    forecast: BuildForecast
    told: list[dict[str, Any]]
    reports: dict[TaskId, TaskReport] = field(default_factory=dict)
    unchanged: dict[TaskId, object] = field(default_factory=dict)
    prepared: dict[TaskId, Prepared] = field(default_factory=dict)
    running: dict[TaskId, str] = field(default_factory=dict)
    since_s: float = 0.0

    def running_s(self, task: TaskId) -> float:
        return self.since_s

    def must_run(self, task: TaskId) -> None:
        action = encode_action(ActionSpec("true", "", {}, (), {}, EMPTY_TREE))
        self.prepared[task] = Prepared(TASKS[task], action, {})

    def ended(self, task: TaskId, took_ms: float, node: str = HERE) -> None:
        self.reports[task] = TaskReport(
            task,
            node,
            Status.SUCCEEDED,
            Tier.FULL,
            duration_ms=took_ms + 10.0,
            executed_ms=took_ms,
            cpu_ms=took_ms,
        )

    def at_work(self, *, looks: bool = True) -> None:
        """Let it look ahead once, if it would."""

        async def work() -> None:
            running = asyncio.ensure_future(self.forecast.run(self))
            self.forecast.turned()
            for _ in range(5):
                await asyncio.sleep(0)
            if looks:
                with suppress(Rested):
                    await running
            running.cancel()

        asyncio.run(work())


@contextmanager
def scene(tmp_path: Path, **more: Any) -> Iterator[Scene]:
    store = Store.open(tmp_path / "store", 1 << 20)
    estimates, told = Estimates(store), list[dict[str, Any]]()
    shop = Workspace("shop", tmp_path, None, {})
    memory = estimates.memory(shop, TASKS.values())
    forecast = BuildForecast(
        estimates=estimates,
        workspace=shop,
        tasks=TASKS,
        hosts=lambda: [(HERE, SimulatedHost(1)), (THERE, SimulatedHost(1, 2.0))],
        may_move=frozenset(),
        began=0.0,
        seed=1,
        tell=told.append,
        tell_once=told.append,
        memory=memory,
        settles_s=0.0,
        _clock=lambda: 5.0,
        _sleep=rest,
        **more,
    )
    try:
        yield Scene(estimates, forecast, told)
    finally:
        store.close()


def known(each: Scene) -> None:
    for name in ("core", "app", "docs"):
        for _ in range(4):
            each.estimates.learn("shop", {f"{name}#build": Sample(1000.0, 0.0)}, [], None)


def test_a_build_with_nothing_to_do_makes_no_estimate(tmp_path: Path) -> None:
    with scene(tmp_path) as build:
        build.prepared[CORE] = Prepared(TASKS[CORE], None, {}, tier=Tier.INSTANT_SKIP)
        build.at_work(looks=False)
        assert build.forecast.first is None
        assert build.told == []


def test_the_first_estimate_tells_the_whole_and_what_is_left(tmp_path: Path) -> None:
    with scene(tmp_path) as build:
        known(build)
        build.must_run(CORE)
        build.unchanged[DOCS] = None
        build.at_work()
        (event,) = build.told
        assert event["type"] == "estimate"
        assert event["left_ms"] == pytest.approx(2000, rel=0.2)
        assert event["estimated_ms"] == event["left_ms"] + 5000
        work_ms, ends_ms = build.forecast.left(at_work=True)
        assert work_ms == pytest.approx(2000, rel=0.2)
        assert ends_ms == pytest.approx(event["left_ms"], abs=1)
        first = build.forecast.first
        assert first is not None
        assert [each.piece.fate for each in first.pieces] == [Fate.RUN, Fate.UNKNOWN]


def test_the_end_comes_no_nearer_while_no_command_runs(tmp_path: Path) -> None:
    with scene(tmp_path) as build:
        known(build)
        build.must_run(CORE)
        build.at_work()
        _, then_ms = build.forecast.left(at_work=True)
        assert then_ms is not None
        build.forecast._clock = lambda: 6.0
        assert build.forecast.left(at_work=False)[1] == then_ms
        assert build.forecast.left(at_work=True)[1] == then_ms - 1000


def test_where_it_goes_wrong_the_build_goes_on(tmp_path: Path) -> None:
    with scene(tmp_path) as build:
        build.must_run(CORE)

        def hosts() -> list[tuple[str, SimulatedHost]]:
            raise RuntimeError("nobody knows")

        build.forecast.hosts = hosts
        build.at_work()
        assert build.told == []


def test_what_ended_counts_no_more_and_what_runs_only_with_its_rest(tmp_path: Path) -> None:
    with scene(tmp_path) as build:
        known(build)
        build.must_run(CORE)
        build.unchanged[DOCS] = None
        build.at_work()
        build.ended(CORE, 1000.0)
        build.must_run(APP)
        build.running, build.since_s = {APP: HERE}, 0.8
        build.at_work()
        assert build.told[-1]["left_ms"] < 500
        assert build.forecast.first_at_ms == 5000  # that stays the first one


def test_what_never_stood_or_was_changed_itself_is_expected_to_run(tmp_path: Path) -> None:
    with scene(tmp_path, changed={APP}) as build:
        known(build)
        build.must_run(CORE)
        build.unchanged[DOCS] = None
        build.at_work()
        assert build.forecast.first is not None
        assert build.forecast.first.pieces[1].piece.fate is Fate.CHANGED
    with scene(tmp_path / "forced", forced=True) as build:
        build.must_run(CORE)
        build.at_work()
        assert build.told == []  # nothing ever ran here
        assert build.forecast.first is not None
        assert {each.piece.fate for each in build.forecast.first.pieces} == {Fate.RUN}


def test_runs_are_learned_at_the_speed_of_their_host_and_builds_only_if_they_went_well(
    tmp_path: Path,
) -> None:
    with scene(tmp_path) as build:
        build.must_run(CORE)
        build.must_run(DOCS)
        build.at_work()
        build.ended(CORE, 400.0)
        build.ended(APP, 100.0, THERE)
        build.ended(DOCS, 50.0)
        build.reports[DOCS].status = Status.FAILED
        build.forecast.learn(build.reports, HERE, None)
        memory = build.forecast.memory
        assert memory.tasks["core#build"].samples == [Sample(400.0, 10.0, 400.0)]
        assert memory.tasks["app#build"].samples == [Sample(200.0, None, 200.0)]
        assert memory.transfer_ms == [10.0]
        assert memory.tasks["docs#build"].samples == []
        assert memory.overhead == []
        build.reports[DOCS].status = Status.SUCCEEDED
        build.forecast.learn(build.reports, HERE, 5700.0)
        ((tasks, besides_ms),) = memory.overhead
        assert tasks == 3
        assert besides_ms == pytest.approx(700 - 410 - 60, abs=115)


def test_of_a_build_that_was_held_up_only_its_runs_are_learned(tmp_path: Path) -> None:
    with scene(tmp_path, is_held_up=lambda: True) as build:
        build.must_run(CORE)
        build.at_work()
        build.ended(CORE, 400.0)
        build.forecast.learn(build.reports, HERE, 5700.0)
        assert build.forecast.memory.overhead == []
        assert len(build.forecast.memory.tasks["core#build"].samples) == 1


def test_what_a_build_waited_for_others_is_not_taken_for_its_own(tmp_path: Path) -> None:
    with scene(tmp_path) as build:
        known(build)
        build.must_run(CORE)
        build.unchanged |= {APP: None, DOCS: None}
        build.at_work()
        build.ended(CORE, 1000.0)
        waited = Part(QUEUE, 0, 20_000_000), Part(EXECUTION, 20_000_000, 1_000_000)
        build.reports[CORE].timeline = Timeline(0, waited)
        build.forecast.learn(build.reports, HERE, 5000 + 20_000 + 1030.0)
        ((_, besides_ms),) = build.forecast.memory.overhead
        assert besides_ms == pytest.approx(20, abs=1)
