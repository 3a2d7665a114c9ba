"""The node's builds: takes requests, performs them, keeps the record.

Builds of one workspace are at work at the same time as far as they touch different packages.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from buildnet.ledger.history import History
from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError, StoppingError
from buildnet.node.auditing import Auditing
from buildnet.node.auto_build.watches import Watches
from buildnet.node.bookkeeping import Bookkeeping
from buildnet.node.broken_off import HandedOverError, told
from buildnet.node.cancelled import NODE_STOPPED
from buildnet.node.capacity import Capacity
from buildnet.node.claiming import Claimed
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.execute.control_groups import ControlGroups
from buildnet.node.execute.isolation import Isolation
from buildnet.node.execute.levels import Levels
from buildnet.node.execute.limits import DEFAULT_LIMITS, ActionLimits
from buildnet.node.hooks import run_hook
from buildnet.node.installs import KEPT, Installs
from buildnet.node.kept_tests import KeptTests
from buildnet.node.knowing import keep_known
from buildnet.node.outliving import Outliving
from buildnet.node.output_teller import OutputTeller
from buildnet.node.own_keys import OwnKeys
from buildnet.node.phases import PERFORM, PLAN, REHEARSE, REVIEW
from buildnet.node.pool_results import PoolResults
from buildnet.node.recording import Record
from buildnet.node.reserving import Reserving
from buildnet.node.runner import Limits
from buildnet.node.running import BuildRequest, RunningBuild
from buildnet.node.same_builds import same_build
from buildnet.node.sources import SourceReader
from buildnet.node.standing import Complete, Plan
from buildnet.node.store import FileTable, Store
from buildnet.node.time_limit import TimeLimit
from buildnet.node.toolchain import Toolchain
from buildnet.node.workers import Turn, Workers
from buildnet.node.workshop import Job, Workshop
from buildnet.node.workspaces import OpenWorkspace, Workspaces
from buildnet.pool.build import Status
from buildnet.pool.requirements import Grant
from buildnet.pool.warrant import SALT_BYTES, Warrant
from buildnet.pool.workspace import Workspace

# Builds that are over are answered from memory this long; after that from the record of builds.
FINISHED_KEPT = 8
_log = logging.getLogger("buildnet.builds")


class Builder:
    """Accepts and performs builds. An asynchronous context manager: it owns their tasks.

    Args:
        results: those of other members, None: nobody is asked.
        work: directory of the stages of running actions.
        capacity: what of this host commands may use, whichever builds they belong to.
        grant: the most that one of them may ask for.
        timeout_s: how long a command may run that declares no timeout.
        output_limit_bytes: how much of a command's output is kept.
        action_limits: what else of the host one command may use.
        isolation: the level that actions get which ask for none; None: the best that the host can.
        installs: installs the dependencies of workspaces.
        private: the node's own directory, of which no command in ``strict`` may see anything.
        groups: control groups in which the kernel keeps the limits; None: the node watches them.
        record: takes what the ledger is to tell of builds; it returns at once.
    """

    def __init__(
        self,
        *,
        keys: OwnKeys,
        store: Store,
        history: History,
        toolchain: Toolchain,
        work: Path,
        installs: Installs,
        results: PoolResults | None = None,
        capacity: Capacity[Digest],
        grant: Grant | None = None,
        timeout_s: float,
        output_limit_bytes: int,
        action_limits: ActionLimits = DEFAULT_LIMITS,
        isolation: str | None = None,
        private: Path,
        groups: ControlGroups | None = None,
        record: Callable[[Record], None] = lambda record: None,
    ) -> None:
        self._keys = keys
        self._store = store
        self._toolchain = toolchain
        self._installs = installs
        self.books = Bookkeeping(history, record, store)
        self.workers = Workers(capacity, grant)
        self.levels = Levels(work, isolation, private, groups)
        self.limits = Limits(timeout_s, output_limit_bytes, action_limits)
        self.workshop = Workshop(
            keys, store, toolchain, installs, self.workers, self.levels, self.limits, results
        )
        self.workshop.kept_tests = KeptTests(private / "tests")
        self.on_build: Callable[[RunningBuild], None] | None = None
        """Told of each build that begins here, by who tells others of it."""
        self.outliving: Outliving | None = None
        """What lets builds outlive this node; None: nothing does."""
        self._workspaces = Workspaces(private / "watch")
        self.auditing = Auditing(self._workspaces, store, lambda: bool(self.running()))
        self.watches = Watches(self._workspaces, self.start, self.workshop.expect_no_more)
        self._builds: dict[str, RunningBuild] = {}
        self._tasks = asyncio.TaskGroup()
        self._tidying = asyncio.Lock()
        self._stopping = False
        self._beside: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Builder:
        await self._tasks.__aenter__()
        for run in (self.auditing.run, self.watches.run):
            self._beside.append(self._tasks.create_task(run()))
        self._tasks.create_task(self._try_isolation())
        return self

    async def _try_isolation(self) -> None:
        """Find out what the host can do, so that no build waits for it."""
        try:
            await asyncio.to_thread(self.levels.default)
        except Exception:  # the first build says it
            _log.exception("what isolation this host can give could not be found out")

    async def __aexit__(self, *exception: Any) -> None:
        for task in self._beside:
            task.cancel()
        try:
            await self._tasks.__aexit__(*exception)
        finally:
            self.workers.close()
            self.levels.close()
            await asyncio.to_thread(self._workspaces.close)

    async def stop(self) -> None:
        """Take no more builds, cancel those that run and wait until they are recorded and told;
        with those that are durable other nodes go on."""
        self._stopping = True
        self.watches.stop()
        running = self.running()
        for build in running:
            if self.outliving is not None:
                build.handed_over = self.outliving.hand_over(build)
            build.cancel(NODE_STOPPED)
        for build in running:
            await build.over.wait()

    async def forget_dependencies(self, keep: int = 0) -> int:
        """Remove installed dependency trees but the ``keep`` that were used last, and as many
        caches of package managers; return how many trees went. While a build runs, nothing."""
        async with self._tidying:
            if self.running():
                return 0
            return await asyncio.to_thread(self._installs.prune, keep)

    def running(self) -> list[RunningBuild]:
        """Return the builds that are not over yet."""
        return [build for build in self._builds.values() if build.outcome is None]

    def find(self, prefix: str) -> RunningBuild | None:
        """Return a running or recently finished build by its id or a unique prefix of it."""
        matches = [build for key, build in self._builds.items() if key.startswith(prefix)]
        return matches[0] if len(matches) == 1 and prefix else None

    async def workspace(self, directory: Path) -> Workspace:
        """Return the workspace that ``directory`` lies in."""
        opened = await asyncio.to_thread(self._workspaces.find, directory)
        return opened.definition.workspace

    async def start(self, request: BuildRequest) -> RunningBuild:
        """Accept a request: read the workspace, check the names, and begin; or return the build
        that does just that already.

        Raises:
            BuildNetError: there is no such workspace or package, or its definition is wrong.
        """
        opened = await asyncio.to_thread(self._workspaces.find, request.directory)
        definition = opened.definition
        plan = opened.plan(definition.workspace, request.wanted, request.task)
        same = await same_build(self.running(), request, opened, definition)
        if self._stopping:  # asked last: from here on nothing is waited for
            raise StoppingError("the node is stopping", hint="start it again: buildnet node start")
        if same is not None:
            return same
        key, now = self._keys.current, time.time()
        warrant = Warrant(key.public_key, secrets.token_bytes(SALT_BYTES))
        build = RunningBuild(warrant.build, definition, request, now, key.node_id, warrant)
        self.show(build, self._perform(build, opened, plan))
        return build

    def show(self, build: RunningBuild, performing: Coroutine[None, None, None]) -> None:
        """Have a build performed, and answer for it; the latest that are over stay for a while."""
        self._builds[build.id] = build
        if self.on_build is not None and not build.request.dry_run:
            self.on_build(build)
        over = [key for key, each in self._builds.items() if each.outcome is not None]
        for key in over[: max(0, len(over) - FINISHED_KEPT)]:
            del self._builds[key]
        self._tasks.create_task(performing)

    async def _perform(self, build: RunningBuild, opened: OpenWorkspace, plan: Plan) -> None:
        """Perform a build and record how it ended, whatever happens."""
        began = time.monotonic()
        try:
            async with opened.claims.one(plan.claim) as claimed:
                is_free = claimed.take_at_once()
                if is_free and await self._had_nothing_to_do(build, opened, plan, began):
                    return
                done = await self._in_turn(build, opened, plan, claimed, began)
                status, error, duration_ms = done
        except Exception as failure:  # there is no record of its end
            status, error = Status.FAILED, told(build, failure)
            duration_ms = (time.monotonic() - began) * 1000
            await asyncio.to_thread(self._leave, build, opened, plan, status)
        finally:
            build.looked.set()
        build.close(status, duration_ms, error.as_dict() if error else None)
        if self.outliving is not None:
            self.outliving.over(build)
        try:
            await self._tidy(build)
        except (OSError, BuildNetError):
            _log.exception("what build %s left could not be put away", build.id)

    async def _in_turn(
        self,
        build: RunningBuild,
        opened: OpenWorkspace,
        plan: Plan,
        claimed: Claimed,
        began: float,
    ) -> tuple[Status, BuildNetError | None, float]:
        """Perform a build once its packages are its own, and record how it ended; return that, and
        how many milliseconds it took."""
        build.has_read = False  # it looks again
        build.looked.set()
        if not build.request.dry_run:
            if self.outliving is not None:
                build.durable = self.outliving.expected(build)
            self.books.tell_begin(build, plan)
        # Beside the build's first steps; what ends is recorded only after what began.
        recording = asyncio.ensure_future(self._record_begin(build))
        recording.add_done_callback(lambda done: done.cancelled() or done.exception())
        build.tell_begin(plan)
        build.phases.tell()
        if not (build.request.rehearses or claimed.held.is_set()):
            build.wait_for("another build of this workspace")
        self._enter_queue(build)
        status, error = Status.CANCELLED, None
        is_its_turn = build.request.rehearses or await claimed.take(build.cancelled)
        build.wait_for(None)
        if is_its_turn:
            status, error = await self._performed(build, opened, plan, claimed, recording)
        duration_ms = (time.monotonic() - began) * 1000
        if error is not None:
            status = Status.CANCELLED if build.cancelled.is_set() else Status.FAILED
        if build.handed_over:
            error = HandedOverError.of(build)
        elif not build.request.dry_run:
            await asyncio.wait([recording])
            unrecorded = await self.books.end(build, plan, opened, status, duration_ms, error)
            if unrecorded is not None:
                status, error = Status.FAILED, error or unrecorded
        if is_its_turn:
            await asyncio.to_thread(self._leave, build, opened, plan, status)
        return status, error, duration_ms

    def _enter_queue(self, build: RunningBuild) -> None:
        if self.workshop.sharing is not None and not build.request.dry_run:
            self.workshop.sharing.demands.enter(build)

    async def _record_begin(self, build: RunningBuild) -> None:
        if not build.request.dry_run:
            await self.books.begin(build)

    async def _performed(
        self,
        build: RunningBuild,
        opened: OpenWorkspace,
        plan: Plan,
        claimed: Claimed,
        recording: asyncio.Future[None],
    ) -> tuple[Status, BuildNetError | None]:
        """Perform a build in packages that are its own meanwhile; never raises."""
        try:
            with TimeLimit(build) as limit:
                status = await self._perform_alone(build, opened, plan, claimed)
                await recording
            return status, limit.error if status is Status.CANCELLED else None
        except Exception as failure:
            return Status.FAILED, told(build, failure)

    async def _had_nothing_to_do(
        self, build: RunningBuild, opened: OpenWorkspace, plan: Plan, began: float
    ) -> bool:
        """Answer a build all of whose tasks are known to stand, whatever their number."""
        request, workspace = build.request, build.workspace
        if request.force or request.dry_run or workspace.pre_build or workspace.post_build:
            return False
        try:
            complete = await asyncio.to_thread(self._complete, build, opened, plan)
        except Exception:
            _log.exception("what stands in %s could not be told", workspace.root)
            return False
        if complete is None:
            return False
        build.unchanged = complete.tasks
        duration_ms = (time.monotonic() - began) * 1000
        error: BuildNetError | None = None
        try:
            await self.books.had_nothing_to_do(build, complete, duration_ms)
        except Exception as failure:
            error = told(build, failure)
        build.tell_begin(plan)
        build.progress.tell({"type": "tasks_up_to_date", "count": len(plan.tasks), "tasks": []})
        status = Status.SUCCEEDED if error is None else Status.FAILED
        build.had_nothing_to_do = error is None
        build.close(status, duration_ms, error.as_dict() if error else None)
        return True

    def _complete(self, build: RunningBuild, opened: OpenWorkspace, plan: Plan) -> Complete | None:
        if opened.standing.surroundings is None:
            return None
        with opened.memory.lock:
            self._begin(build, opened)
            return opened.standing.complete.get(plan.key)

    def _begin_work(
        self, build: RunningBuild, opened: OpenWorkspace
    ) -> tuple[Isolation, FileTable]:
        with opened.memory.lock:
            isolation = self._begin(build, opened)
            build.view = opened.view()
        self._workspaces.unwatch_unused(time.monotonic())
        return isolation, self._store.file_table(opened.id)

    def _begin(self, build: RunningBuild, opened: OpenWorkspace) -> Isolation:
        build.has_read = True
        isolation = self.levels.default().at(build.request.choice.isolation)
        environment = build.request.environment
        opened.begin(
            build.definition, environment, isolation.level, self._toolchain, build.listeners
        )
        traced = "what commands read is traced" if build.request.trace_inputs else None
        build.isolation_reason = traced or isolation.reason
        build.not_watched = opened.not_watched
        return isolation

    def _look_again(self, build: RunningBuild, opened: OpenWorkspace) -> None:
        """Take in what a hook changed before the build looked at anything."""
        with opened.memory.lock:
            opened.look(build.listeners)
            if build.view is not None:
                opened.close(build.view)
            build.view = opened.view()

    def _leave(
        self, build: RunningBuild, opened: OpenWorkspace, plan: Plan, status: Status
    ) -> None:
        """End a build's work; if all of it stands, the next one of the same is told at once."""
        with opened.memory.lock:
            if build.view is not None:
                opened.close(build.view)
                build.view = None
            if status is not Status.SUCCEEDED or build.request.dry_run:
                return
            if opened.not_watched or opened.definition.workspace is not build.workspace:
                return
            complete = self.books.complete(plan, opened)
            if complete is not None:
                opened.standing.complete[plan.key] = complete

    async def _tidy(self, build: RunningBuild) -> None:
        if build.keep_descriptions is not None:
            await asyncio.to_thread(build.keep_descriptions)
            build.keep_descriptions = None
            await asyncio.to_thread(build.learn)
        if not self.running():
            await asyncio.to_thread(self.levels.tidy)
        if build.workspace.install is not None:
            await self.forget_dependencies(keep=KEPT)

    async def _perform_alone(
        self, build: RunningBuild, opened: OpenWorkspace, plan: Plan, claimed: Claimed
    ) -> Status:
        workspace, request = build.workspace, build.request
        async with self._tidying:  # trees that are about to be removed must not be found
            pass
        isolation, table = await asyncio.to_thread(self._begin_work, build, opened)
        await self._hook(build, "pre_build", workspace.pre_build)
        if workspace.pre_build is not None:
            await asyncio.to_thread(self._look_again, build, opened)
        build.phases.begin(PLAN)
        view = build.view
        assert view is not None
        standing = view.standing
        waiting = [task for task in plan.tasks if request.force or task not in standing.tasks]
        tasks = plan.reached_from(waiting)
        build.unchanged = {task: standing.tasks[task] for task in plan.tasks if task not in tasks}
        with self._store.hold() as hold:
            reader = SourceReader(
                workspace.root,
                table,
                opened.ignore_rules,
                memory=opened.memory,
                watch=opened.watch,
            )
            job = Job(
                workspace=workspace,
                workspace_id=opened.id,
                reader=reader,
                table=table,
                outputs=build.definition.outputs,
                isolation=isolation,
                environment=request.environment,
                standing=standing,
                tools=view.surroundings.tools,
                words=view.surroundings.words,
                tasks={task: known for task, known in plan.tasks.items() if task in tasks},
                waiting=waiting,
                durations_ms={},
            )
            job = await self.workshop.split(build, job)
            performer = await self.workshop.performer(build, job, hold)
            build.performer = performer
            claimed.before_others = performer.runner.keep_runs
            performer.on_package = lambda package: claimed.finish((package,))
            claimed.finish(set(plan.packages).difference(task.package for task in tasks))
            if build.cancelled.is_set():
                performer.cancel()
            build.keep_descriptions = performer.runner.keep_descriptions
            try:
                if self.outliving is not None:
                    await self.outliving.begin(build, job, performer)
                await Reserving(build, performer.places.hosts, self.workers.slots).wait()
                build.phases.begin(REHEARSE if request.dry_run else PERFORM)
                status = await performer.run()
                if request.dry_run:
                    await self.workshop.rehearse(build, performer)
            finally:
                build.phases.begin(REVIEW)
                if performer.places.hosts is not None:
                    performer.places.hosts.close()
                await asyncio.to_thread(performer.runner.keep_runs)
            if not request.dry_run:
                await asyncio.to_thread(keep_known, opened, view, performer)
            if status is Status.SUCCEEDED:
                await self._hook(build, "post_build", workspace.post_build)
        await asyncio.to_thread(table.flush)
        return status

    async def _hook(self, build: RunningBuild, name: str, command: str | None) -> None:
        if command is None or build.request.dry_run:
            return
        await build.pausing.over()
        if build.cancelled.is_set():
            return
        output = OutputTeller(build.progress, asyncio.get_running_loop(), name, "hook")
        build.hook = cancel = CancelToken()

        def work(turn: Turn) -> None:
            run_hook(
                name,
                command,
                build.workspace.root,
                build.request.environment,
                timeout_s=self.limits.timeout_s,
                output_limit_bytes=self.limits.output_bytes,
                output=output,
                cancel=cancel,
                launcher=self.levels.launcher,
                cores=self.limits.action.cores,
            )

        await self.workers.run(Digest.of(f"{build.id} {name}".encode()), cancel, work)
