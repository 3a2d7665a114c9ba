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
from buildnet.node.build_record import BuildBegan, BuildEnded
from buildnet.node.dependencies import InstalledDependencies
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.execute.executor import Executor, StagedExecutor, WorkspaceExecutor
from buildnet.node.execute.isolation import Isolation, IsolationProbe
from buildnet.node.execute.limits import DEFAULT_LIMITS, ActionLimits
from buildnet.node.execute.removal import remove_tree
from buildnet.node.execute.staging import SOURCE_EPOCH_S
from buildnet.node.execute.strict import StrictExecutor
from buildnet.node.execute.trees import UnpackedTrees
from buildnet.node.failure import first_cause
from buildnet.node.hooks import run_hook
from buildnet.node.output_teller import OutputTeller
from buildnet.node.own_keys import OwnKeys
from buildnet.node.perform import Performer
from buildnet.node.recording import Record
from buildnet.node.resolve import Resolver
from buildnet.node.runner import Limits, TaskRunner
from buildnet.node.running import BuildRequest, RunningBuild
from buildnet.node.sources import SourceReader
from buildnet.node.store import Store
from buildnet.node.toolchain import Toolchain
from buildnet.node.workers import Workers, either
from buildnet.node.workspaces import OpenWorkspace, Workspaces
from buildnet.pool.build import Build, Status
from buildnet.pool.graph import closure
from buildnet.pool.result import signed_message
from buildnet.pool.workspace import TaskId, Workspace

# Builds that are over are answered from memory this long; after that from the record of builds.
FINISHED_KEPT = 8
# Installed dependency trees that stay for the next builds; each is as large as a node_modules.
TREES_KEPT = 8
_log = logging.getLogger("buildnet.builds")


class Builder:
    """Accepts and performs builds. An asynchronous context manager: it owns their tasks.

    Args:
        work: directory of the stages of running actions.
        slots: how many commands run at once on this host, whichever builds they belong to.
        timeout_s: how long a command may run that declares no timeout.
        output_limit_bytes: how much of a command's output is kept.
        action_limits: what else of the host one command may use.
        isolation: the level that actions get which ask for none; None: the best that the host can.
        private: the node's own directory, of which no command in ``strict`` may see anything.
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
        downloads: Path,
        slots: int,
        timeout_s: float,
        output_limit_bytes: int,
        action_limits: ActionLimits = DEFAULT_LIMITS,
        isolation: str | None = None,
        private: Path,
        record: Callable[[Record], None] = lambda record: None,
    ) -> None:
        self._keys = keys
        self._store = store
        self._history = history
        self._record = record
        self._toolchain = toolchain
        self._downloads = downloads
        self._work = work
        self._workers = Workers(slots)
        self._staged = StagedExecutor(work)
        self._trees = UnpackedTrees(downloads.parent / "trees")
        self._isolation = IsolationProbe(work, isolation)
        self._private = private
        self._limits = Limits(timeout_s, output_limit_bytes, action_limits)
        self._workspaces = Workspaces()
        self._builds: dict[str, RunningBuild] = {}
        self._tasks = asyncio.TaskGroup()
        self._tidying = asyncio.Lock()
        self._stopping = False

    async def __aenter__(self) -> Builder:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(self, *exception: Any) -> None:
        try:
            await self._tasks.__aexit__(*exception)
        finally:
            self._workers.close()
            self._isolation.close()

    async def stop(self) -> None:
        """Take no more builds, cancel those that run and wait until they are recorded and told."""
        self._stopping = True
        running = self.running()
        for build in running:
            build.cancel()
        for build in running:
            await build.over.wait()

    async def forget_dependencies(self, keep: int = 0) -> int:
        """Remove installed dependency trees but the ``keep`` that were used last, and with 0 what
        package managers downloaded; return how many trees went. While a build runs, nothing."""
        async with self._tidying:
            if self.running():
                return 0
            if keep == 0:
                await asyncio.to_thread(remove_tree, self._downloads)
            return await asyncio.to_thread(self._trees.prune, keep)

    def running(self) -> list[RunningBuild]:
        """Return the builds that are not over yet."""
        return [build for build in self._builds.values() if build.report is None]

    @property
    def actions_running(self) -> int:
        """How many commands run now."""
        return self._workers.running

    @property
    def slots(self) -> int:
        """How many commands run at once."""
        return self._workers.slots

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
        tasks = [task.id for task in closure(definition.workspace, request.packages, request.task)]
        if self._stopping:  # asked last: from here on nothing is waited for
            raise StoppingError("the node is stopping", hint="start it again: buildnet node start")
        build = RunningBuild(secrets.token_hex(6), definition, request, time.time())
        self._builds[build.id] = build
        over = [key for key, each in self._builds.items() if each.report is not None]
        for key in over[: max(0, len(over) - FINISHED_KEPT)]:
            del self._builds[key]
        self._tasks.create_task(self._perform(build, opened, tasks))
        return build

    async def _perform(
        self, build: RunningBuild, opened: OpenWorkspace, tasks: list[TaskId]
    ) -> None:
        """Perform a build and record how it ended, whatever happens."""
        started = time.monotonic()
        status = Status.FAILED
        error: BuildNetError | None = None
        if not build.request.dry_run:
            self._tell_begin(build, tasks)
        # Beside the build's first steps; what ends is recorded only after what began.
        recording = asyncio.ensure_future(self._record_begin(build))
        recording.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            build.progress.tell({"type": "build_started", **build.summary(), "tasks": len(tasks)})
            if opened.lock.locked():
                build.progress.tell({"type": "waiting", "for": "another build of this workspace"})
            if await either(opened.lock.acquire(), build.cancelled.wait()):
                try:
                    status = await self._perform_alone(build, opened, tasks)
                finally:
                    opened.lock.release()
            else:
                status = Status.CANCELLED
            await recording
        except Exception as failure:
            cause = first_cause(failure)
            if isinstance(cause, BuildNetError):
                error = cause
            else:
                _log.exception("build %s broke off", build.id)
                error = BuildNetError(
                    "the build broke off",
                    cause=f"{type(cause).__name__}: {cause}",
                    hint="the node's log has the details; please report it",
                )
        duration_ms = (time.monotonic() - started) * 1000
        if error is not None:
            status = Status.CANCELLED if build.cancelled.is_set() else Status.FAILED
        if not build.request.dry_run:
            await asyncio.wait([recording])
            unrecorded = await self._record_end(build, status, duration_ms, error)
            if unrecorded is not None:
                status, error = Status.FAILED, error or unrecorded
            self._tell_end(build, status, duration_ms, error)
        build.close(status, duration_ms, error.as_dict() if error else None)
        try:
            await self._tidy(build)
        except OSError:
            _log.exception("what build %s left could not be removed", build.id)

    async def _tidy(self, build: RunningBuild) -> None:
        if not self.running():
            await asyncio.to_thread(self._staged.tidy)
        if build.workspace.install is not None:
            await self.forget_dependencies(keep=TREES_KEPT)

    async def _perform_alone(
        self, build: RunningBuild, opened: OpenWorkspace, tasks: list[TaskId]
    ) -> Status:
        workspace, request = build.workspace, build.request
        async with self._tidying:  # trees that are about to be removed must not be found
            table = await asyncio.to_thread(self._store.file_table, opened.id)
        isolation = await asyncio.to_thread(self._isolation.result)
        build.isolation_reason = isolation.reason
        with self._store.hold() as hold:
            reader = SourceReader(workspace.root, table, opened.ignore_rules)
            dependencies = self._dependencies(workspace, reader, request)
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
                dependencies=dependencies,
            )
            by_id = {task: workspace.task(task) for task in tasks}
            performer = Performer(
                node_id=self._keys.current.node_id,
                workers=self._workers,
                tasks=by_id,
                resolver=resolver,
                dependencies=dependencies,
                hold=hold,
                progress=build.progress,
                machine=Build(
                    {task: by_id[task].depends_on for task in tasks},
                    slots=self.slots,
                    keep_going=request.keep_going,
                    durations_ms=opened.durations_ms,
                ),
                durations_ms=opened.durations_ms,
                dry_run=request.dry_run,
            )
            performer.runner = TaskRunner(
                key=self._keys.current,
                store=self._store,
                limits=self._limits,
                workspace_id=opened.id,
                root=workspace.root,
                executors=self._executors(workspace.root, isolation),
                resolver=resolver,
                dependencies=dependencies,
                table=table,
                hold=hold,
                tell=performer.output_teller,
            )
            build.performer = performer
            if build.cancelled.is_set():
                performer.cancel()
            await self._hook(build, "pre_build", workspace.pre_build)
            status = await performer.run()
            if status is Status.SUCCEEDED:
                await self._hook(build, "post_build", workspace.post_build)
        await asyncio.to_thread(table.flush)
        return status

    def _executors(self, root: Path, isolation: Isolation) -> dict[str, Executor]:
        executors: list[Executor] = [
            self._staged,
            WorkspaceExecutor(root, self._staged.work),
        ]
        if isolation.launcher is not None:
            executors.append(StrictExecutor(self._staged, isolation, self._private))
        return {executor.isolation: executor for executor in executors}

    def _dependencies(
        self, workspace: Workspace, reader: SourceReader, request: BuildRequest
    ) -> InstalledDependencies | None:
        if workspace.install is None:
            return None
        return InstalledDependencies(
            install_spec=workspace.install,
            root=workspace.root,
            reader=reader,
            toolchain=self._toolchain,
            trees=self._trees,
            executor=self._staged,
            inherited=request.environment,
            downloads=self._downloads,
        )

    async def _hook(self, build: RunningBuild, name: str, command: str | None) -> None:
        if command is None or build.request.dry_run or build.cancelled.is_set():
            return
        tell = OutputTeller(build.progress, asyncio.get_running_loop(), name, "hook")
        build.hook = cancel = CancelToken()

        def work(waited: bool) -> None:
            run_hook(
                name,
                command,
                build.workspace.root,
                build.request.environment,
                timeout_s=self._limits.timeout_s,
                output_limit_bytes=self._limits.output_bytes,
                on_output=tell,
                cancel=cancel,
            )

        await self._workers.run(Digest.of(f"{build.id} {name}".encode()), cancel, work)

    async def _record_begin(self, build: RunningBuild) -> None:
        if build.request.dry_run:
            return
        await self._history.begin(
            build.id,
            workspace=build.workspace.name,
            root=str(build.workspace.root),
            request=build.request.as_dict(),
            started_at=build.started_at,
            triggered_by=build.request.actor,
        )

    def _tell_begin(self, build: RunningBuild, tasks: list[TaskId]) -> None:
        request = build.request
        packages = tuple(dict.fromkeys(task.package for task in tasks))
        name = build.workspace.name
        self._record(BuildBegan(build.id, request.actor, name, request.task, packages))

    def _tell_end(
        self, build: RunningBuild, status: Status, duration_ms: float, error: BuildNetError | None
    ) -> None:
        reports = build.performer.reports.values() if build.performer else ()
        self._record(
            BuildEnded(
                build.id,
                build.request.actor,
                status.value,
                duration_ms,
                error.message if error else None,
                tuple(build.packages()),
                tuple(report.action for report in reports if report.action is not None),
                self._signed_result,
            )
        )

    def _signed_result(self, action: Digest) -> bytes | None:
        found = self._store.peek_action(action)
        if found is None:
            return None
        return signed_message(found.action, found.isolation, found.result)

    async def _record_end(
        self, build: RunningBuild, status: Status, duration_ms: float, error: BuildNetError | None
    ) -> BuildNetError | None:
        """Record the end; return an error if that fails, for the asker must not take it as kept."""
        try:
            await self._history.finish(
                build.id,
                status=status.value,
                completed_at=time.time(),
                duration_ms=duration_ms,
                error=error.message if error else None,
                packages=build.packages(),
            )
        except BuildNetError as failure:
            return failure
        except Exception as failure:
            _log.exception("build %s could not be recorded", build.id)
            return BuildNetError(
                "the build is over but could not be recorded",
                cause=str(failure),
                hint="free room on the volume of the data directory and build again",
            )
        return None
