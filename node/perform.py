"""Performs one build: turns the effects of the pure build into work on threads.

Keys and look-ups run in batches on one thread at a time (the reader's listings are shared by a
build); commands run on the node's runner threads, as many at once as the host grants.
"""

from __future__ import annotations

import asyncio
import codecs
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor as ThreadPool
from dataclasses import dataclass, field, replace
from pathlib import Path

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.identity import NodeKey
from buildnet.node.dependencies import INSTALL, InstalledDependencies
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.execute.delivery import deliver
from buildnet.node.execute.executor import Execution, ExecutionRequest, Executor, OnOutput
from buildnet.node.execute.mounts import Mount
from buildnet.node.progress import Progress
from buildnet.node.report import TaskReport
from buildnet.node.resolve import Prepared, Resolver, Tier, isolation_of
from buildnet.node.store import (
    ActionRecord,
    FileTable,
    Hold,
    LastRun,
    MissingBlobError,
    Store,
)
from buildnet.pool import build as core
from buildnet.pool.action import Action
from buildnet.pool.build import Status
from buildnet.pool.result import encode_result, signed_message
from buildnet.pool.tree import EMPTY_TREE, DirectoryTree, FileEntry
from buildnet.pool.workspace import Task, TaskId

OUTPUT_TAIL_BYTES = 16 * 1024


class InstallError(BuildNetError):
    """A command can't run because the dependencies it needs could not be installed."""

    code = "INSTALL_FAILED"


@dataclass(frozen=True, slots=True)
class Host:
    """What a build needs of the node that performs it."""

    key: NodeKey
    store: Store
    runners: ThreadPool
    in_flight: dict[Digest, asyncio.Future[None]]
    default_timeout_s: float
    output_limit_bytes: int


@dataclass(slots=True)
class Performer:
    """One build at work; :meth:`run` returns its status, ``reports`` holds what became of it."""

    host: Host
    workspace_id: str
    root: Path
    executors: Mapping[str, Executor]
    tasks: Mapping[TaskId, Task]
    resolver: Resolver
    dependencies: InstalledDependencies | None
    table: FileTable
    hold: Hold
    progress: Progress
    machine: core.Build
    durations_ms: dict[TaskId, float]
    dry_run: bool = False
    reports: dict[TaskId, TaskReport] = field(default_factory=dict)
    _events: asyncio.Queue[core.Event] = field(default_factory=asyncio.Queue)
    _prepared: dict[TaskId, Prepared] = field(default_factory=dict)
    _tokens: dict[TaskId, CancelToken] = field(default_factory=dict)
    _installing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _resolving: asyncio.Lock = field(default_factory=asyncio.Lock)
    _pending: set[TaskId] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop = field(init=False)

    async def run(self) -> Status:
        """Perform the build to its end."""
        self._loop = asyncio.get_running_loop()
        self._events.put_nowait(core.Began())
        async with asyncio.TaskGroup() as group:
            while True:
                event = await self._events.get()
                for effect in self.machine.handle(event):
                    match effect:
                        case core.Resolve(tasks):
                            group.create_task(self._resolve(tasks))
                        case core.Execute(task):
                            group.create_task(self._execute(task))
                        case core.Stop(tasks):
                            for task in (*tasks, INSTALL):
                                if task in self._tokens:
                                    self._tokens[task].set()
                        case core.Ended(tasks, status):
                            for task in tasks:
                                self._report(self._new_report(task, status))
                        case core.Finish(status):
                            return status

    def cancel(self) -> None:
        """Ask for the build's end; commands that run are ended."""
        self._events.put_nowait(core.CancelRequested())

    # Resolving

    async def _resolve(self, tasks: tuple[TaskId, ...]) -> None:
        async with self._resolving:
            outcomes = await asyncio.to_thread(self._prepare_all, tasks)
        deliveries: list[Coroutine[None, None, None]] = []
        skipped: list[str] = []
        for task, outcome, duration_ms in outcomes:
            if isinstance(outcome, BuildNetError):
                self._failed(task, outcome)
                continue
            self._prepared[task] = outcome
            if outcome.tier is None and self.dry_run:
                self._would_run(task, outcome)
            elif outcome.tier is None:
                self._events.put_nowait(core.MustRun(task))
            elif outcome.undelivered and not self.dry_run:
                deliveries.append(self._deliver(task, outcome, duration_ms))
            else:
                self._found(task, outcome, duration_ms)
                if not outcome.undelivered:
                    skipped.append(str(task))
        if skipped:
            self.progress.tell({"type": "tasks_up_to_date", "tasks": skipped})
        if deliveries:
            await asyncio.gather(*deliveries)

    def _prepare_all(
        self, tasks: tuple[TaskId, ...]
    ) -> list[tuple[TaskId, Prepared | BuildNetError, float]]:
        outcomes: list[tuple[TaskId, Prepared | BuildNetError, float]] = []
        for task in tasks:
            started = time.monotonic()
            outcome: Prepared | BuildNetError
            try:
                if self.dry_run and any(d in self._pending for d in self.tasks[task].depends_on):
                    outcome = Prepared(
                        self.tasks[task], None, {}, reasons=("what it depends on would be built",)
                    )
                else:
                    outcome = self.resolver.prepare(self.tasks[task])
                    if outcome.tier is not None:
                        self._remember(outcome)
                        self.resolver.settle(outcome)
            except BuildNetError as error:
                outcome = error
            if isinstance(outcome, Prepared) and outcome.tier is None and self.dry_run:
                self._pending.add(task)
            outcomes.append((task, outcome, (time.monotonic() - started) * 1000))
        return outcomes

    def _remember(self, prepared: Prepared) -> None:
        if prepared.tier is Tier.LOCAL_CACHE and prepared.action and not self.dry_run:
            self._record_run(prepared.task, prepared.action, prepared.outputs)

    def _record_run(self, task: Task, action: Action, outputs: DirectoryTree) -> None:
        self.host.store.record_run(
            self.workspace_id,
            str(task.id),
            LastRun(action.digest, outputs.digest, time.time()),
        )

    def _found(self, task: TaskId, prepared: Prepared, duration_ms: float) -> None:
        report = self._new_report(task, Status.SUCCEEDED, prepared)
        report.tier = prepared.tier
        report.duration_ms = duration_ms
        report.exit_code = 0
        report.log = prepared.log
        if self.dry_run:
            report.plan = "restore" if prepared.undelivered else "nothing"
        if prepared.undelivered:
            self._report(report)
        else:
            self.reports[task] = report  # told together with the others of its batch
        self._events.put_nowait(core.UpToDate(task))

    def _would_run(self, task: TaskId, prepared: Prepared) -> None:
        report = self._new_report(task, Status.SKIPPED, prepared)
        report.plan = "run"
        self._report(report)
        self._events.put_nowait(core.UpToDate(task))

    async def _deliver(self, task: TaskId, prepared: Prepared, duration_ms: float) -> None:
        started = time.monotonic()
        try:
            await asyncio.to_thread(
                deliver, prepared.outputs, prepared.task.outputs, self.root, self.hold, self.table
            )
        except MissingBlobError as error:
            # The result can't be had after all; what was damaged has been dropped.
            reason = f"its cached result was lost: {error.message}"
            self._prepared[task] = replace(
                prepared, tier=None, outputs=EMPTY_TREE, undelivered=False, reasons=(reason,)
            )
            self._events.put_nowait(core.MustRun(task))
        except BuildNetError as error:
            self._failed(task, error)
        else:
            self._found(task, prepared, duration_ms + (time.monotonic() - started) * 1000)

    # Executing

    async def _execute(self, task: TaskId) -> None:
        token = self._tokens[task] = CancelToken()
        report = self._new_report(task, Status.FAILED, self._prepared[task])
        try:
            if self._prepared[task].task.dependencies_tree:
                await self._install_once()
            await self._alone(report.action, lambda: self._run_command(report, token))
        except BuildNetError as error:
            report.fail(error)
        if token.is_set() and report.status is Status.FAILED:
            report.status = Status.CANCELLED
        self._report(report)
        self._events.put_nowait(core.Executed(task, report.status is Status.SUCCEEDED))

    async def _alone(self, action: Digest | None, work: Callable[[], None]) -> None:
        """Run ``work`` on a runner thread, after any other build's run of the same action."""
        loop = asyncio.get_running_loop()
        assert action is not None
        while (other := self.host.in_flight.get(action)) is not None:
            await asyncio.wait([other])
        mine = self.host.in_flight[action] = loop.create_future()
        try:
            await loop.run_in_executor(self.host.runners, work)
        finally:
            del self.host.in_flight[action]
            mine.set_result(None)

    async def _install_once(self) -> None:
        """See that the dependency tree is there; the first command that needs it pays for it.

        Raises:
            InstallError: installing failed, now or for an earlier command of this build.
        """
        if self.dependencies is None:
            return
        async with self._installing:
            if INSTALL not in self.reports:
                async with self._resolving:
                    prepared = await asyncio.to_thread(self.dependencies.prepare, self.hold)
                report = self._new_report(INSTALL, Status.SUCCEEDED, prepared)
                report.tier = prepared.tier
                if prepared.tier is None:
                    self._prepared[INSTALL] = prepared
                    token = self._tokens[INSTALL] = CancelToken()
                    await self._alone(report.action, lambda: self._install(report, token))
                self._report(report)
        if self.reports[INSTALL].status is not Status.SUCCEEDED:
            raise InstallError(
                "the workspace's dependencies could not be installed",
                hint="see the output of the task dependencies#install",
            )

    def _install(self, report: TaskReport, token: CancelToken) -> None:
        assert self.dependencies is not None
        prepared = self._prepared[INSTALL]
        assert prepared.action is not None
        self._started(INSTALL)
        started = time.monotonic()
        request = self.dependencies.request(
            self.host.default_timeout_s, self.host.output_limit_bytes
        )
        tell = self._output_teller(INSTALL)
        execution = self._executed(prepared.action, request, tell, token)
        self._take(report, execution)
        if execution.outputs is not None:
            self._keep(prepared.task, prepared.action, execution, execution.outputs)
            self.dependencies.unpack(execution.outputs, self.hold)
        report.duration_ms = (time.monotonic() - started) * 1000

    def _run_command(self, report: TaskReport, token: CancelToken) -> None:
        prepared = self._prepared[report.task]
        task, action = prepared.task, prepared.action
        assert action is not None
        if token.is_set():
            return
        self._started(report.task)
        started = time.monotonic()
        request = ExecutionRequest(
            action=action.digest,
            command=action.spec.command,
            working_directory=task.path,
            environment=prepared.environment,
            path_entries=task.path_entries,
            inputs=action.spec.inputs,
            mounts=self._mounts(task),
            outputs=task.outputs,
            timeout_s=task.timeout_s or self.host.default_timeout_s,
            output_limit_bytes=self.host.output_limit_bytes,
            workspace=self.root,
        )
        execution = self._executed(action, request, self._output_teller(report.task), token)
        self._take(report, execution)
        if report.status is Status.SUCCEEDED and execution.outputs is not None:
            self._keep(task, action, execution, execution.outputs)
            done = replace(prepared, tier=Tier.FULL, outputs=execution.outputs)
            deliver(execution.outputs, task.outputs, self.root, self.hold, self.table)
            self._record_run(task, action, execution.outputs)
            self.resolver.settle(done)
            self.durations_ms[report.task] = execution.outcome.duration_ms
        report.duration_ms = (time.monotonic() - started) * 1000

    def _executed(
        self, action: Action, request: ExecutionRequest, tell: OnOutput, token: CancelToken
    ) -> Execution:
        """Run the command; if an input was lost or damaged in the store, take it in anew once."""
        executor = self.executors[isolation_of(action)]
        self._ingest(action)
        try:
            return executor.execute(request, self.hold, tell, token)
        except MissingBlobError:
            self._ingest(action)
            return executor.execute(request, self.hold, tell, token)

    def _mounts(self, task: Task) -> tuple[Mount, ...]:
        if self.dependencies is None or not task.dependencies_tree:
            return ()
        return self.dependencies.mounts()

    def _ingest(self, action: Action) -> None:
        """See that everything the action is staged from is in the store."""
        files = {
            leaf.digest: path
            for path, leaf in action.spec.inputs.leaves()
            if isinstance(leaf, FileEntry)
        }
        for digest in self.hold.missing(files):
            self.hold.put_file(self.root / files[digest], expected=digest)
        blobs = {tree.digest: tree.encoded for tree in action.spec.inputs.directories()}
        blobs[action.digest] = action.encoded
        blobs[Digest.of(action.command_encoded)] = action.command_encoded
        for digest in self.hold.missing(blobs):
            self.hold.put(blobs[digest])

    def _keep(
        self, task: Task, action: Action, execution: Execution, outputs: DirectoryTree
    ) -> None:
        """Put the result into the action cache, signed by this node."""
        result = encode_result(outputs, task.path, task.outputs, execution.log)
        for tree in result.trees:
            self.hold.put(tree)
        isolation = isolation_of(action)
        key = self.host.key
        self.hold.put_action(
            ActionRecord(
                action=action.digest,
                result=result.encoded,
                isolation=isolation,
                worker=key.public_key,
                signature=key.sign(signed_message(action.digest, isolation, result.encoded)),
                created_at=time.time(),
                duration_ms=execution.outcome.duration_ms,
                label=f"{self.resolver.workspace.name}/{task.package} {task.name}",
                references=result.references,
            )
        )

    def _take(self, report: TaskReport, execution: Execution) -> None:
        tail = ""
        if execution.outputs is None:
            log = execution.log
            offset = max(0, log.size_bytes - OUTPUT_TAIL_BYTES)
            tail = self.hold.read(log, offset, OUTPUT_TAIL_BYTES).decode(errors="replace")
        report.take(execution, tail)

    # Telling

    def _new_report(
        self, task: TaskId, status: Status, prepared: Prepared | None = None
    ) -> TaskReport:
        return TaskReport.of(task, self.host.key.node_id, status, prepared)

    def _failed(self, task: TaskId, error: BuildNetError) -> None:
        report = self._new_report(task, Status.FAILED)
        report.fail(error)
        self._report(report)
        self._events.put_nowait(core.Broken(task))

    def _report(self, report: TaskReport) -> None:
        self.reports[report.task] = report
        self.progress.tell({"type": "task_finished", **report.as_dict()})

    def _started(self, task: TaskId) -> None:
        event = {"type": "task_started", "name": task.package, "task": task.task}
        self._loop.call_soon_threadsafe(self.progress.tell, event)

    def _output_teller(self, task: TaskId) -> OnOutput:
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode

        def tell(chunk: bytes) -> None:
            event = {
                "type": "task_output",
                "name": task.package,
                "task": task.task,
                "text": decode(chunk),
            }
            self._loop.call_soon_threadsafe(self.progress.tell_output, event)

        return tell
