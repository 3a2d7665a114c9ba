"""Drives builds on that other nodes began, from their stored plans: there is no workspace here."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import time
from collections.abc import Awaitable, Callable, Container
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from buildnet.ledger.history import LOST_TOO_SOON, TAKEN_OVER, BuildSummary, Durability, History
from buildnet.mesh.errors import BuildNetError, NotFoundError
from buildnet.node.broken_off import told
from buildnet.node.build_record import BuildTakenOver
from buildnet.node.builder import Builder
from buildnet.node.cancelled import GOES_ON_ELSEWHERE
from buildnet.node.definition_files import DefinitionFiles
from buildnet.node.durable.stored_plan import SourcesOfPlan, StoredPlan, Trees, standing_of
from buildnet.node.durable.stored_runner import StoredRunner
from buildnet.node.execute.isolation import Isolation
from buildnet.node.phases import PERFORM, PLAN, REVIEW
from buildnet.node.recording import Record
from buildnet.node.running import BUILD_STARTED, BuildRequest, RunningBuild
from buildnet.node.sources import outputs_excluded
from buildnet.node.store import Hold, Store
from buildnet.node.time_limit import TimeLimit
from buildnet.node.workshop import Job
from buildnet.node.workspaces import Definition
from buildnet.pool.build import Status
from buildnet.pool.tree import FileEntry
from buildnet.pool.warrant import Warrant

GIVEN_UP = "the node that was asked came back and goes on with it, or another one does"
_TABLE = "requests of others"
_log = logging.getLogger("buildnet.builds")


@dataclass(frozen=True, slots=True)
class Inheritance:
    """A build that this node goes on with, as ``warrant`` proves that it may. ``driver_name``: what
    people call the node that was asked; ``hold``: keeps its sources; ``on_end`` is given how it
    ended, as JSON."""

    plan: StoredPlan
    trees: Trees
    attempt: int
    warrant: Warrant
    driver_name: str
    hold: Hold
    on_end: Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Successor:
    """See the module's text. ``scratch``: where the few files lie that have to; ``record`` takes
    what the ledger is to tell."""

    builder: Builder
    store: Store
    history: History
    record: Callable[[Record], None]
    scratch: Path

    def take_over(self, inherited: Inheritance) -> RunningBuild:
        """Begin to drive a build."""
        plan = inherited.plan
        workspace = plan.workspace_at(Path(plan.root))
        definition = Definition(
            workspace, outputs_excluded(plan.outputs), (), DefinitionFiles(workspace), True
        )
        request = BuildRequest(
            directory=workspace.root,
            packages=plan.packages,
            task=plan.task,
            keep_going=plan.keep_going,
            durable=True,
            retries=plan.retries,
            times=plan.times,
            environment=plan.environment,
            actor=plan.actor,
            choice=replace(plan.choice, cpus=()),  # those were the driver's
        )
        me = self.builder.workshop.keys.current.node_id
        began, warrant = plan.started_at, inherited.warrant
        build = RunningBuild(plan.build_id, definition, request, began, me, warrant)
        build.term = inherited.attempt
        build.durable = Durability(
            TAKEN_OVER, plan.driver, inherited.driver_name, inherited.attempt
        )
        build.looked.set()
        self.builder.show(build, self._perform(build, inherited))
        return build

    async def tidy(self) -> None:
        """Remove what a process that was killed left behind; nothing is driven yet."""
        await asyncio.to_thread(shutil.rmtree, self.scratch, True)

    def give_up(self, build: RunningBuild) -> None:
        """Drive a build no more: another node does."""
        build.handed_over = True
        build.cancel(GOES_ON_ELSEWHERE)

    def drives_itself(self, build_id: str) -> bool:
        """Tell whether a build runs on this node: one that was asked for here, or taken over."""
        return any(
            build.id == build_id and not build.handed_over for build in self.builder.running()
        )

    async def has_ended(self, build_id: str) -> bool:
        """Tell whether this node knows the end of a build."""
        with suppress(NotFoundError):
            found = await self.history.build(build_id)
            return found.status != "running" and found.error not in (GIVEN_UP, LOST_TOO_SOON)
        return False

    async def close(self, build_id: str) -> None:
        """See that the record does not show a build as running that this node drives no more."""
        for each in await self._recorded():
            if each.id == build_id:
                await self._close(each)

    async def close_all_but(self, builds: Container[str]) -> None:
        """The same for all builds of others but those; what a node that was killed left of any is
        removed."""
        await asyncio.to_thread(shutil.rmtree, self.scratch, True)
        for each in await self._recorded():
            if each.id not in builds:
                await self._close(each)

    async def _recorded(self) -> list[BuildSummary]:
        running = await self.history.running()
        return [one for one in running if one.durable and one.durable.state == TAKEN_OVER]

    async def _close(self, build: BuildSummary) -> None:
        await self.history.finish(
            build.id,
            status=Status.CANCELLED.value,
            completed_at=time.time(),
            duration_ms=(time.time() - build.started_at) * 1000,
            error=GIVEN_UP,
            packages=(),
        )

    async def _perform(self, build: RunningBuild, inherited: Inheritance) -> None:
        """Perform a build to its end and record that, whatever happens."""
        began = time.monotonic()
        tasks = len(inherited.plan.tasks)
        build.progress.tell({"type": BUILD_STARTED, **build.summary(), "tasks": tasks})
        status, error = Status.FAILED, None
        try:
            self.record(BuildTakenOver(build.id, inherited.attempt, build.warrant))
            await self.builder.books.begin(build)
            with TimeLimit(build) as limit:
                status = await self._performed(build, inherited)
            error = limit.error if status is Status.CANCELLED else None
        except Exception as failure:
            error = told(build, failure)
            status = Status.CANCELLED if build.cancelled.is_set() else Status.FAILED
        # From when it was asked for; the clock of the node that was asked may be fast.
        duration_s = max(time.monotonic() - began, time.time() - build.started_at)
        duration_ms = duration_s * 1000
        try:
            if build.handed_over:
                status, error = Status.CANCELLED, BuildNetError(GIVEN_UP)
                await self.close(build.id)
            else:
                books = self.builder.books
                await books.end_of_other(build, status, duration_ms, error, build.term)
                await inherited.on_end(_report(build, status, duration_ms, error))
        except Exception:
            _log.exception("the end of build %s could not be recorded", build.id)
        build.close(status, duration_ms, error.as_dict() if error else None)

    async def _performed(self, build: RunningBuild, inherited: Inheritance) -> Status:
        plan, trees, workshop = inherited.plan, inherited.trees, self.builder.workshop
        isolation = await asyncio.to_thread(self._isolation, plan)
        root = self.scratch / build.id
        table = await asyncio.to_thread(self.store.file_table, _TABLE)
        tasks = {task.id: task for task in plan.tasks}
        job = Job(
            workspace=plan.workspace_at(root),
            workspace_id=f"{plan.driver} {plan.build_id}",
            reader=SourcesOfPlan(plan, trees),
            table=table,
            outputs=build.definition.outputs,
            isolation=isolation,
            environment=plan.environment,
            standing=standing_of(plan, trees),
            tools={},
            words={},
            tasks=tasks,
            waiting=tasks,
            durations_ms=dict(plan.durations_ms),
            runner=StoredRunner,
            is_own=False,
        )
        try:
            await asyncio.to_thread(self._lay_out, plan, trees, root, inherited.hold)
            build.phases.begin(PLAN)
            performer = await workshop.performer(build, job, inherited.hold)
            build.performer = performer
            if build.cancelled.is_set():
                performer.cancel()
            try:
                build.phases.begin(PERFORM)
                return await performer.run()
            finally:
                build.phases.begin(REVIEW)
                if performer.places.hosts is not None:
                    performer.places.hosts.close()
                await asyncio.to_thread(performer.runner.keep_descriptions)
        finally:
            await asyncio.to_thread(shutil.rmtree, root, True)

    def _isolation(self, plan: StoredPlan) -> Isolation:
        return self.builder.levels.default().at(plan.isolation)

    def _lay_out(self, plan: StoredPlan, trees: Trees, root: Path, hold: Hold) -> None:
        """Write the files that an install is made from: they are read where they lie. Blocks."""
        root.mkdir(parents=True, exist_ok=True)
        if plan.install is None:
            return
        found = SourcesOfPlan(plan, trees).tree(plan.install.inputs)
        for path, leaf in found.tree.leaves():
            if isinstance(leaf, FileEntry):
                place = root / path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(hold.get(leaf.digest))


def _report(
    build: RunningBuild, status: Status, duration_ms: float, error: BuildNetError | None
) -> bytes:
    return json.dumps(
        {
            "status": status.value,
            "completed_at": time.time(),
            "duration_ms": duration_ms,
            "error": error.message if error else None,
            "packages": build.packages(),
        }
    ).encode()
