"""One build's effects performed: scripted runners and resolvers, every order of events."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.node.capacity import Capacity
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.perform import Performer
from buildnet.node.places import NodePlaces
from buildnet.node.progress import Progress
from buildnet.node.report import TaskReport
from buildnet.node.resolve import Prepared, Tier
from buildnet.node.sharing.known_hosts import THIS_NODE
from buildnet.node.store import MissingBlobError
from buildnet.node.workers import Workers
from buildnet.pool.action import Action, ActionSpec, encode_action
from buildnet.pool.build import Build, Status
from buildnet.pool.placement import AS_USUAL, Preferences
from buildnet.pool.places import Slots
from buildnet.pool.quantity import GIB
from buildnet.pool.requirements import Requirements
from buildnet.pool.tree import EMPTY_TREE, DirectoryTree, FileEntry
from buildnet.pool.workspace import Task, TaskId


def action_of(name: str) -> Action:
    return encode_action(ActionSpec(name, "", {}, (), {"isolation": "staged"}, EMPTY_TREE))


@dataclass
class FakeResolver:
    """Every task has to run, but those that ``broken`` names, and ``cached`` ones, whose outputs
    those are."""

    broken: Mapping[str, Exception] = field(default_factory=dict)
    cached: Mapping[str, DirectoryTree] = field(default_factory=dict)
    force: bool = False

    def prepare(self, task: Task) -> Prepared:
        if task.package in self.broken:
            raise self.broken[task.package]
        prepared = Prepared(task, action_of(task.package), {})
        outputs = self.cached.get(task.package)
        if outputs is None:
            return prepared
        return replace(prepared, tier=Tier.LOCAL_CACHE, outputs=outputs, undelivered=True)

    def settle(self, prepared: Prepared) -> None: ...

    def has_changed(self, task: TaskId) -> bool:
        return True


@dataclass
class FakeRunner:
    """Runs what ``commands`` say, on the runner's thread."""

    commands: Mapping[str, Callable[[CancelToken], None]]
    undeliverable: Mapping[str, Exception] = field(default_factory=dict)
    at_once: threading.Barrier | None = None
    ran: list[str] = field(default_factory=list)
    cpus: tuple[int, ...] = ()
    hold: object = None

    def found(self, prepared: Prepared) -> None:
        """Nothing is noted."""

    def deliver(self, prepared: Prepared) -> None:
        if self.at_once is not None:
            self.at_once.wait(30)
        if prepared.task.package in self.undeliverable:
            raise self.undeliverable[prepared.task.package]

    def run(
        self,
        report: TaskReport,
        prepared: Prepared,
        token: CancelToken,
        *,
        look_again: bool,
        cores: tuple[int, ...] | None,
    ) -> None:
        name = prepared.task.package
        if name in self.commands:
            self.commands[name](token)
        self.ran.append(name)
        if not token.is_set():
            report.status, report.tier = Status.SUCCEEDED, Tier.FULL


def until_stopped(token: CancelToken) -> None:
    """A command that only ends when it is told to."""
    stopped = threading.Event()
    with token.calling(stopped.set):
        assert stopped.wait(30), "nobody stopped the command"


def perform(
    graph: Mapping[str, tuple[str, ...]],
    commands: Mapping[str, Callable[[CancelToken], None]],
    *,
    resolver: FakeResolver | None = None,
    runner: FakeRunner | None = None,
    slots: int = 2,
    meanwhile: Callable[[Performer], None] = lambda performer: None,
) -> tuple[Status, dict[str, TaskReport], FakeRunner]:
    """Perform a build of packages (name to what it needs); return status, reports, runner."""
    tasks = {
        TaskId(name, "build"): Task(
            name, "build", name, "", depends_on=tuple(TaskId(each, "build") for each in needs)
        )
        for name, needs in graph.items()
    }
    runner = runner or FakeRunner(commands)

    async def run() -> tuple[Status, Performer]:
        workers = Workers(Capacity(slots))
        try:
            places = NodePlaces(Slots(slots), workers, None)
            performer = Performer(
                node_id="node",
                workers=workers,
                tasks=tasks,
                resolver=cast(Any, resolver or FakeResolver()),
                dependencies=None,
                hold=cast(Any, None),
                progress=Progress(),
                places=places,
                machine=Build({task: tasks[task].depends_on for task in tasks}, places=places),
                durations_ms={},
            )
            performer.runner = cast(Any, runner)
            meanwhile(performer)
            return await asyncio.wait_for(performer.run(), 30), performer
        finally:
            workers.close()

    status, performer = asyncio.run(run())
    reports = {task.package: report for task, report in performer.reports.items()}
    return status, reports, runner


def test_what_depends_on_another_runs_after_it() -> None:
    status, reports, runner = perform({"app": ("core",), "core": ()}, {})
    assert status is Status.SUCCEEDED
    assert runner.ran == ["core", "app"]
    assert {report.tier for report in reports.values()} == {Tier.FULL}


def test_a_task_that_cannot_be_prepared_stops_one_that_has_just_been_started() -> None:
    # Both answers come in one batch: the Stop follows the Execute at once.
    broken = FakeResolver({"bad": BuildNetError("no such tool")})
    status, reports, _ = perform({"slow": (), "bad": ()}, {"slow": until_stopped}, resolver=broken)
    assert status is Status.FAILED
    assert reports["bad"].status is Status.FAILED
    assert reports["slow"].status is Status.CANCELLED


def test_an_unforeseen_error_fails_its_task_and_ends_the_others() -> None:
    begun = threading.Event()

    def slow(token: CancelToken) -> None:
        begun.set()
        until_stopped(token)

    def explode(token: CancelToken) -> None:
        assert begun.wait(30)
        raise OSError("too many open files")

    status, reports, _ = perform({"slow": (), "bad": ()}, {"slow": slow, "bad": explode})
    assert status is Status.FAILED
    error = reports["bad"].error
    assert error is not None
    assert error["code"] == "UNEXPECTED"
    assert "too many open files" in str(error["cause"])
    assert reports["slow"].status is Status.CANCELLED


def test_an_unforeseen_error_of_preparing_fails_its_task_alone() -> None:
    resolver = FakeResolver({"bad": RuntimeError("surprise")})
    status, reports, _ = perform({"bad": ()}, {}, resolver=resolver)
    assert status is Status.FAILED
    assert "surprise" in str((reports["bad"].error or {})["cause"])


def test_an_unforeseen_error_of_another_host_fails_its_task_alone() -> None:
    class Elsewhere:
        attempts: Mapping[TaskId, object] = {}
        hosts = property(lambda self: self)
        node_id = name = "other"
        preferences = AS_USUAL

        def may_take(self, prepared: Prepared) -> bool:
            return True

        def choose(self, *chosen: object, **said: bool) -> Elsewhere:
            return self

        async def run(self, work: Callable[[], None]) -> None:
            raise OSError("surprise")

        def placed(self, host: object, needs: object) -> None: ...

        def speed(self, host: object) -> float:
            return 1.0

        def end(self, host: object) -> None: ...

        def want(self, ready: object, prepared: object) -> None: ...

    def have_hosts(performer: Performer) -> None:
        performer.places.hosts = cast(Any, Elsewhere())

    status, reports, _ = perform({"bad": ()}, {}, meanwhile=have_hosts)
    assert status is Status.FAILED
    assert "surprise" in str((reports["bad"].error or {})["cause"])


@pytest.mark.parametrize(
    ("labels", "preferences", "why"),
    [
        (("gpu",), AS_USUAL, "no node that can be asked has the labels gpu"),
        ((), Preferences(min_free_bytes=GIB), "no node that can be asked has 1 GiB of free"),
    ],
)
def test_a_command_that_no_host_can_take_fails_after_a_while(
    monkeypatch: pytest.MonkeyPatch, labels: tuple[str, ...], preferences: Preferences, why: str
) -> None:
    monkeypatch.setattr("buildnet.node.places.PATIENCE_S", 0.05)

    class Elsewhere:
        attempts: Mapping[TaskId, object] = {}
        borrowing = SimpleNamespace(members=())

        def __init__(self) -> None:
            self.preferences = preferences

        def may_take(self, prepared: Prepared) -> bool:
            return True

        def choose(
            self, *chosen: object, here_is_free: bool, never_here: bool, used: object
        ) -> None:
            assert never_here
            assert not here_is_free

        def owners(self, needs: object, members: object) -> list[object]:
            return []

        def want(self, ready: object, prepared: object) -> None: ...

    def have_hosts(performer: Performer) -> None:
        performer.places.hosts = cast(Any, Elsewhere())
        performer.places.here = lambda: replace(THIS_NODE, free_storage_bytes=GIB - 1)
        labelled = Requirements(labels=labels)
        (task,) = performer.tasks
        tasks = {task: replace(performer.tasks[task], requirements=labelled)}
        performer.tasks = tasks

    status, reports, runner = perform({"bad": ()}, {}, meanwhile=have_hosts)
    assert status is Status.FAILED
    assert (reports["bad"].error or {})["code"] == "NO_HOST"
    assert reports["bad"].could_not_run  # so that it is listed with what no host could run
    assert why in str((reports["bad"].error or {})["message"])
    assert runner.ran == []


def test_a_build_that_was_cancelled_before_it_began_runs_nothing() -> None:
    status, reports, runner = perform({"a": (), "b": ("a",)}, {}, meanwhile=Performer.cancel)
    assert status is Status.CANCELLED
    assert runner.ran == []
    assert {report.status for report in reports.values()} == {Status.CANCELLED}


def test_cancelling_ends_what_runs_and_what_waits_for_a_thread() -> None:
    performers: list[Performer] = []

    def cancels(token: CancelToken) -> None:
        performer = performers[0]
        performer._loop.call_soon_threadsafe(performer.cancel)
        until_stopped(token)

    graph: dict[str, tuple[str, ...]] = {"a": (), "b": (), "c": ("a", "b")}
    status, reports, runner = perform(
        graph, {"a": cancels, "b": cancels}, slots=1, meanwhile=performers.append
    )
    assert status is Status.CANCELLED
    assert len(runner.ran) == 1
    assert {report.status for report in reports.values()} == {Status.CANCELLED}


SMALL = DirectoryTree({"x": FileEntry(Digest.of(b"x"))})


def large(name: str) -> DirectoryTree:
    return DirectoryTree({name: FileEntry(Digest(Digest.of(name.encode()).hash, 1 << 30))})


def test_what_several_small_results_make_ready_is_prepared_in_one_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batches: list[tuple[str, ...]] = []
    prepare_all = Performer._prepare_all

    def counted(self: Performer, tasks: tuple[TaskId, ...]) -> Any:
        batches.append(tuple(task.package for task in tasks))
        return prepare_all(self, tasks)

    monkeypatch.setattr(Performer, "_prepare_all", counted)
    graph: dict[str, tuple[str, ...]] = {"a": (), "b": (), "c": ("a",), "d": ("b",)}
    resolver = FakeResolver(cached=dict.fromkeys(graph, SMALL))
    status, reports, runner = perform(graph, {}, resolver=resolver)
    assert status is Status.SUCCEEDED
    assert {report.tier for report in reports.values()} == {Tier.LOCAL_CACHE}
    assert batches == [("a", "b"), ("c", "d")]
    assert runner.ran == []


def test_large_results_are_delivered_at_once() -> None:
    runner = FakeRunner({}, at_once=threading.Barrier(2))
    resolver = FakeResolver(cached={name: large(name) for name in ("a", "b")})
    status, reports, _ = perform({"a": (), "b": ()}, {}, resolver=resolver, runner=runner)
    assert status is Status.SUCCEEDED
    assert len(reports) == 2


@pytest.mark.parametrize("outputs", [SMALL, large("x")])
def test_a_result_that_was_lost_is_made_again(outputs: DirectoryTree) -> None:
    runner = FakeRunner({}, undeliverable={"a": MissingBlobError("blob x is gone")})
    resolver = FakeResolver(cached=dict.fromkeys(("a", "b", "c"), outputs))
    graph: dict[str, tuple[str, ...]] = {"a": (), "b": (), "c": ("a",)}
    status, reports, _ = perform(graph, {}, resolver=resolver, runner=runner)
    assert status is Status.SUCCEEDED
    assert runner.ran == ["a"]
    assert "blob x is gone" in reports["a"].reasons[0]
    assert reports["c"].tier is Tier.LOCAL_CACHE


def test_a_result_that_cannot_be_delivered_fails_its_task_alone() -> None:
    runner = FakeRunner({}, undeliverable={"a": OSError("surprise")})
    resolver = FakeResolver(cached=dict.fromkeys(("a", "b"), SMALL))
    status, reports, _ = perform({"a": (), "b": ()}, {}, resolver=resolver, runner=runner)
    assert status is Status.FAILED
    assert "surprise" in str((reports["a"].error or {})["cause"])
    assert reports["b"].status is Status.SUCCEEDED


def test_what_a_task_depends_on_is_told_however_it_ended() -> None:
    graph = {"bad": (), "app": ("bad",), "slow": ("core",), "late": ("slow",), "core": ()}
    broken = FakeResolver({"bad": BuildNetError("no such tool")})
    _, reports, _ = perform(graph, {"slow": until_stopped}, resolver=broken)
    told = {name: tuple(map(str, report.depends_on)) for name, report in reports.items()}
    assert told == graph
    assert {report.status for report in reports.values()} >= {Status.FAILED, Status.SKIPPED}

    def cancel(performer: Performer) -> None:
        performer.cancel()

    _, reports, _ = perform(graph, {"slow": until_stopped}, meanwhile=cancel)
    told = {name: tuple(map(str, report.depends_on)) for name, report in reports.items()}
    assert told == graph
    assert {report.status for report in reports.values()} == {Status.CANCELLED}
