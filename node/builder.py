"""The node's builds: takes requests, performs them one a workspace, keeps the record."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from buildnet.ledger.history import History
from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError, StoppingError
from buildnet.node.bookkeeping import Bookkeeping
from buildnet.node.capacity import Capacity
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.execute.control_groups import ControlGroups
from buildnet.node.execute.isolation import Isolation
from buildnet.node.execute.levels import Levels
from buildnet.node.execute.limits import DEFAULT_LIMITS, ActionLimits
from buildnet.node.execute.staging import SOURCE_EPOCH_S
from buildnet.node.failure import first_cause
from buildnet.node.hooks import run_hook
from buildnet.node.installs import KEPT, Installs
from buildnet.node.output_teller import OutputTeller
from buildnet.node.own_keys import OwnKeys
from buildnet.node.perform import Performer
from buildnet.node.pool_results import PoolResults
from buildnet.node.recording import Record
from buildnet.node.resolve import Resolver
from buildnet.node.runner import Limits, TaskRunner
from buildnet.node.running import BuildRequest, RunningBuild
from buildnet.node.sharing.other_hosts import OtherHosts
from buildnet.node.sharing.service import Sharing
from buildnet.node.sources import SourceReader
from buildnet.node.standing import Complete, Plan
from buildnet.node.store import Store
from buildnet.node.toolchain import Toolchain
from buildnet.node.workers import Turn, Workers, either
from buildnet.node.workspaces import OpenWorkspace, Workspaces
from buildnet.pool.build import Build, Status
from buildnet.pool.requirements import Grant
from buildnet.pool.workspace import Workspace

# Builds that are over are answered from memory this long; after that from the record of builds.
FINISHED_KEPT = 8
_LOOK_FOR_AUDITS_S = 60.0
# Directories; some milliseconds, in which a build would wait.
_AUDITED_AT_ONCE = 32
_BETWEEN_AUDITS_S = 0.05
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
        self._books = Bookkeeping(history, record, store)
        self._results = results
        self.sharing: Sharing | None = None
        """Through which commands run on other hosts, and theirs here; None: none do."""
        self._toolchain = toolchain
        self._installs = installs
        self.workers = Workers(capacity, grant)
        self.levels = Levels(work, isolation, private, groups)
        self.limits = Limits(timeout_s, output_limit_bytes, action_limits)
        self._workspaces = Workspaces(private / "watch")
        self._builds: dict[str, RunningBuild] = {}
        self._tasks = asyncio.TaskGroup()
        self._tidying = asyncio.Lock()
        self._stopping = False
        self._auditing: asyncio.Task[None]

    async def __aenter__(self) -> Builder:
        await self._tasks.__aenter__()
        self._auditing = self._tasks.create_task(self._audit_when_idle())
        self._tasks.create_task(self._try_isolation())
        return self

    async def _try_isolation(self) -> None:
        """Find out what the host can do, so that no build waits for it."""
        try:
            await asyncio.to_thread(self.levels.default)
        except Exception:  # the first build says it
            _log.exception("what isolation this host can give could not be found out")

    async def __aexit__(self, *exception: Any) -> None:
        self._auditing.cancel()
        try:
            await self._tasks.__aexit__(*exception)
        finally:
            self.workers.close()
            self.levels.close()
            await asyncio.to_thread(self._workspaces.close)

    async def stop(self) -> None:
        """Take no more builds, cancel those that run and wait until they are recorded and told."""
        self._stopping = True
        running = self.running()
        for build in running:
            build.cancel()
        for build in running:
            await build.over.wait()

    async def _audit_when_idle(self) -> None:
        """See now and then, while nothing is built, that watching told of all changes."""
        while True:
            await asyncio.sleep(_LOOK_FOR_AUDITS_S)
            await asyncio.to_thread(self._workspaces.unwatch_unused, time.monotonic())
            for opened in self._workspaces.watched():
                if opened.needs_audit(time.monotonic()):
                    try:
                        await self.audit(opened)
                    except Exception:
                        _log.exception("%s could not be audited", opened.definition.workspace.root)

    async def audit(self, opened: OpenWorkspace) -> None:
        """Compare what is known of a workspace with what is there, bit by bit; a build comes first,
        then the rest is left for later."""
        table = await asyncio.to_thread(self._store.file_table, opened.id)
        directories = sorted(opened.memory.listings)
        for start in range(0, len(directories), _AUDITED_AT_ONCE):
            if self.running() or opened.watcher is None:
                return
            async with opened.lock:
                part = directories[start : start + _AUDITED_AT_ONCE]
                await asyncio.to_thread(opened.audit, table, part)
            await asyncio.sleep(_BETWEEN_AUDITS_S)
        opened.audited_at = time.monotonic()

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
        """Accept a request: read the workspace, check the names, and begin.

        Raises:
            BuildNetError: there is no such workspace or package, or its definition is wrong.
        """
        opened = await asyncio.to_thread(self._workspaces.find, request.directory)
        definition = opened.definition
        plan = opened.plan(definition.workspace, request.packages, request.task)
        if self._stopping:  # asked last: from here on nothing is waited for
            raise StoppingError("the node is stopping", hint="start it again: buildnet node start")
        node_id = self._keys.current.node_id
        build = RunningBuild(secrets.token_hex(6), definition, request, time.time(), node_id)
        self._builds[build.id] = build
        over = [key for key, each in self._builds.items() if each.outcome is not None]
        for key in over[: max(0, len(over) - FINISHED_KEPT)]:
            del self._builds[key]
        self._tasks.create_task(self._perform(build, opened, plan))
        return build

    async def _perform(self, build: RunningBuild, opened: OpenWorkspace, plan: Plan) -> None:
        """Perform a build and record how it ended, whatever happens."""
        began = time.monotonic()
        if not opened.lock.locked():
            async with opened.lock:
                if await self._had_nothing_to_do(build, opened, plan, began):
                    build.looked.set()
                    return
        build.looked.set()
        if not build.request.dry_run:
            self._books.tell_begin(build, plan)
        # Beside the build's first steps; what ends is recorded only after what began.
        recording = asyncio.ensure_future(self._record_begin(build))
        recording.add_done_callback(lambda done: done.cancelled() or done.exception())
        build.progress.tell({"type": "build_started", **build.summary(), "tasks": len(plan.tasks)})
        if opened.lock.locked():
            build.progress.tell({"type": "waiting", "for": "another build of this workspace"})
        alone = await either(opened.lock.acquire(), build.cancelled.wait())
        try:
            status, error = Status.CANCELLED, None
            if alone:
                status, error = await self._performed(build, opened, plan, recording)
            duration_ms = (time.monotonic() - began) * 1000
            if error is not None:
                status = Status.CANCELLED if build.cancelled.is_set() else Status.FAILED
            if not build.request.dry_run:
                await asyncio.wait([recording])
                unrecorded = await self._books.end(build, plan, opened, status, duration_ms, error)
                if unrecorded is not None:
                    status, error = Status.FAILED, error or unrecorded
            if alone and status is Status.SUCCEEDED:
                self._remember(build, opened, plan)
        finally:
            if alone:
                opened.lock.release()
        build.close(status, duration_ms, error.as_dict() if error else None)
        try:
            await self._tidy(build)
        except (OSError, BuildNetError):
            _log.exception("what build %s left could not be put away", build.id)

    async def _record_begin(self, build: RunningBuild) -> None:
        if not build.request.dry_run:
            await self._books.begin(build)

    async def _performed(
        self,
        build: RunningBuild,
        opened: OpenWorkspace,
        plan: Plan,
        recording: asyncio.Future[None],
    ) -> tuple[Status, BuildNetError | None]:
        """Perform a build in a workspace that is its own meanwhile; never raises."""
        try:
            status = await self._perform_alone(build, opened, plan)
            await recording
            return status, None
        except Exception as failure:
            return Status.FAILED, _told(build, failure)

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
            await self._books.had_nothing_to_do(build, complete, duration_ms)
        except Exception as failure:
            error = _told(build, failure)
        count = len(plan.tasks)
        build.progress.tell({"type": "build_started", **build.summary(), "tasks": count})
        build.progress.tell({"type": "tasks_up_to_date", "count": count, "tasks": []})
        status = Status.SUCCEEDED if error is None else Status.FAILED
        build.had_nothing_to_do = error is None
        build.close(status, duration_ms, error.as_dict() if error else None)
        return True

    def _complete(self, build: RunningBuild, opened: OpenWorkspace, plan: Plan) -> Complete | None:
        if opened.standing.surroundings is None:
            return None
        self._begin(build, opened)
        return opened.standing.complete.get(plan.key)

    def _begin(self, build: RunningBuild, opened: OpenWorkspace) -> Isolation:
        isolation = self.levels.default().at(build.request.choice.isolation)
        environment = build.request.environment
        opened.begin(build.definition, environment, isolation.level, self._toolchain)
        build.isolation_reason = isolation.reason
        build.not_watched = opened.not_watched
        self._workspaces.unwatch_unused(time.monotonic())
        return isolation

    def _remember(self, build: RunningBuild, opened: OpenWorkspace, plan: Plan) -> None:
        if build.request.dry_run or opened.not_watched is not None:
            return
        if opened.definition is not build.definition:  # it was edited meanwhile
            return
        complete = self._books.complete(plan, opened)
        if complete is not None:
            opened.standing.complete[plan.key] = complete

    async def _tidy(self, build: RunningBuild) -> None:
        if build.keep_descriptions is not None:
            await asyncio.to_thread(build.keep_descriptions)
            build.keep_descriptions = None
        if not self.running():
            await asyncio.to_thread(self.levels.tidy)
        if build.workspace.install is not None:
            await self.forget_dependencies(keep=KEPT)

    async def _perform_alone(
        self, build: RunningBuild, opened: OpenWorkspace, plan: Plan
    ) -> Status:
        workspace, request = build.workspace, build.request
        async with self._tidying:  # trees that are about to be removed must not be found
            table = await asyncio.to_thread(self._store.file_table, opened.id)
        isolation = await asyncio.to_thread(self._begin, build, opened)
        await self._hook(build, "pre_build", workspace.pre_build)
        if workspace.pre_build is not None:
            await asyncio.to_thread(opened.look)
        standing = opened.standing
        assert standing.surroundings is not None
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
            dependencies = self._installs.of(
                workspace, opened.id, reader, request.environment, isolation
            )
            resolver = Resolver(
                workspace=workspace,
                workspace_id=opened.id,
                reader=reader,
                store=self._store,
                hold=hold,
                toolchain=self._toolchain,
                outputs=build.definition.outputs,
                inherited=request.environment,
                isolation=isolation.level,
                source_epoch_s=SOURCE_EPOCH_S,
                force=request.force,
                explain=request.explain,
                dependencies=dependencies,
                standing=standing,
                tools=dict(standing.surroundings.tools),
                words=dict(standing.surroundings.words),
            )
            by_id = {task: known for task, known in plan.tasks.items() if task in tasks}
            hosts = self._other_hosts(build)
            performer = Performer(
                node_id=self._keys.current.node_id,
                workers=self.workers,
                tasks=by_id,
                resolver=resolver,
                dependencies=dependencies,
                hold=hold,
                progress=build.progress,
                machine=Build(
                    {
                        task: tuple(each for each in known.depends_on if each in tasks)
                        for task, known in by_id.items()
                    },
                    slots=request.choice.slots_of(self.workers.slots),
                    sizes={task: known.requirements.slots for task, known in by_id.items()},
                    keep_going=request.keep_going,
                    durations_ms=opened.durations_ms,
                    standing=tasks.keys() - set(waiting),
                ),
                durations_ms=opened.durations_ms,
                results=None if request.keeps_to_itself else self._results,
                hosts=hosts,
                dry_run=request.dry_run,
                unchanged=build.unchanged,
            )
            performer.runner = TaskRunner(
                key=self._keys.current,
                store=self._store,
                limits=self.limits,
                workspace_id=opened.id,
                root=workspace.root,
                executors=await asyncio.to_thread(self.levels.executors, workspace.root),
                resolver=resolver,
                dependencies=dependencies,
                table=table,
                hold=hold,
                tell=performer.output_teller,
            )
            build.performer = performer
            if build.cancelled.is_set():
                performer.cancel()
            build.keep_descriptions = performer.runner.keep_descriptions
            try:
                status = await performer.run()
            finally:
                if hosts is not None:
                    hosts.close()
                await asyncio.to_thread(performer.runner.keep_runs)
            if not request.dry_run:
                await asyncio.to_thread(performer.now_stand)
                standing.asked_for(resolver.tools, resolver.words)
            if status is Status.SUCCEEDED:
                await self._hook(build, "post_build", workspace.post_build)
        await asyncio.to_thread(table.flush)
        return status

    def _other_hosts(self, build: RunningBuild) -> OtherHosts | None:
        request = build.request
        if self.sharing is None or self._results is None or request.local_only or request.dry_run:
            return None
        choice, here = request.choice, self.workers.slots
        return self.sharing.hosts_for(
            build.id, request.actor, self._results, choice.priority, choice.elsewhere(here)
        )

    async def _hook(self, build: RunningBuild, name: str, command: str | None) -> None:
        if command is None or build.request.dry_run or build.cancelled.is_set():
            return
        tell = OutputTeller(build.progress, asyncio.get_running_loop(), name, "hook")
        build.hook = cancel = CancelToken()

        def work(turn: Turn) -> None:
            run_hook(
                name,
                command,
                build.workspace.root,
                build.request.environment,
                timeout_s=self.limits.timeout_s,
                output_limit_bytes=self.limits.output_bytes,
                on_output=tell,
                cancel=cancel,
                launcher=self.levels.launcher,
                cores=self.limits.action.cores,
            )

        await self.workers.run(Digest.of(f"{build.id} {name}".encode()), cancel, work)


def _told(build: RunningBuild, failure: Exception) -> BuildNetError:
    """Return what to say of a build that broke off."""
    cause = first_cause(failure)
    if isinstance(cause, BuildNetError):
        return cause
    _log.error("build %s broke off", build.id, exc_info=failure)
    return BuildNetError(
        "the build broke off",
        cause=f"{type(cause).__name__}: {cause}",
        hint="the node's log has the details; please report it",
    )
