"""Runs one task on a runner thread: takes in its inputs, executes it, keeps what it made."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from buildnet.mesh.digest import Digest
from buildnet.mesh.identity import NodeKey
from buildnet.node.dependencies import InstalledDependencies
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.execute.declared import has_patterns
from buildnet.node.execute.delivery import deliver, stale_outputs
from buildnet.node.execute.executor import (
    Execution,
    ExecutionRequest,
    Executor,
    WorkspaceExecutor,
)
from buildnet.node.execute.isolation import STRICT, IsolationError
from buildnet.node.execute.limits import DEFAULT_LIMITS, ActionLimits, limits_of
from buildnet.node.execute.mounts import Mount
from buildnet.node.junit_reports import tests_of
from buildnet.node.output_teller import OutputTeller
from buildnet.node.report import TaskReport
from buildnet.node.resolve import Prepared, Resolver, Tier, decode_record, isolation_of, label_of
from buildnet.node.source_file import digest_file
from buildnet.node.store import (
    ActionRecord,
    FileTable,
    Hold,
    LastRun,
    MissingBlobError,
    SourceChangedError,
    Store,
)
from buildnet.node.timings import Laps
from buildnet.node.toolchain import ToolMissingError
from buildnet.node.traced_inputs import findings_of
from buildnet.pool.action import Action
from buildnet.pool.build import Status
from buildnet.pool.result import encode_result, signed_message
from buildnet.pool.timeline import RESTORE, UPLOAD
from buildnet.pool.tree import EMPTY_TREE, DirectoryTree, FileEntry, Leaf, merge_trees
from buildnet.pool.workspace import Task, TaskId

OUTPUT_TAIL_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What a command may use that says nothing else itself."""

    timeout_s: float
    output_bytes: int
    action: ActionLimits = DEFAULT_LIMITS


@dataclass(frozen=True, slots=True)
class TaskRunner:
    """Runs the tasks of one build. Methods block: call them on runner threads.

    ``tell`` gives, for a task, what takes its output while it runs; ``cpus``: on which commands are
    to run, as far as they can be had; none: any.
    """

    key: NodeKey
    store: Store
    limits: Limits
    workspace_id: str
    root: Path
    executors: Mapping[str, Executor]
    resolver: Resolver
    dependencies: InstalledDependencies | None
    table: FileTable
    hold: Hold
    tell: Callable[[TaskId], OutputTeller]
    cpus: tuple[int, ...] = ()
    performed: list[Action] = field(default_factory=list)
    runs: dict[str, LastRun] = field(default_factory=dict)

    def run(
        self,
        report: TaskReport,
        prepared: Prepared,
        token: CancelToken,
        *,
        look_again: bool,
        cores: tuple[int, ...] | None = None,
        executor: Executor | None = None,
    ) -> None:
        """Run a task's command; ``report`` takes in what came of it.

        ``look_again``: another build has just run the same action, so its result may be there.
        ``cores``: the CPUs that it may run on; None: any. ``executor``: who runs it; None: this
        host, as isolated as its key says.

        Raises:
            BuildNetError: the command could not be run, or its result not be kept or delivered.
        """
        task, action = prepared.task, prepared.action
        assert action is not None
        if prepared.far is not None and executor is None:
            raise ToolMissingError(f"{task.id} runs only on {', '.join(prepared.far.names)}")
        started, laps = time.monotonic(), Laps()
        report.times = laps.times
        if look_again and self._take_cached(report, prepared):
            laps.lap(RESTORE)
            report.duration_ms = (time.monotonic() - started) * 1000
            return
        request = self._request(prepared, action, cores)
        in_place = isolation_of(action) == WorkspaceExecutor.isolation
        if in_place:
            self._require_inputs(action)
            self._clear(task)
        execution = self._execute(action, request, report.task, token, executor)
        laps.take(execution.times)
        if request.mounts and isolation_of(action) != STRICT and self.dependencies is not None:
            self.dependencies.trees.distrust()
        self._take(report, execution)
        made = execution.reports if execution.outputs is None else execution.outputs
        report.tests = tests_of(task, made, self.hold)
        if execution.reads is not None:
            variables = self.resolver.inherited
            workspace = self.resolver.workspace
            report.traced = findings_of(execution.reads, task, action, workspace, variables)
        if execution.outputs is not None:
            if in_place:
                self._require_inputs(action, meanwhile=execution.input_changed)
            done = replace(prepared, tier=Tier.FULL, outputs=execution.outputs)
            self.resolver.claim(done)
            if execution.record is not None:
                self.hold.put_action(execution.record)
                self.performed.append(action)
            else:
                self._keep(task, action, execution, execution.outputs)
            self.deliver(done)
            self.resolver.settle(done)
        laps.lap(UPLOAD)
        report.duration_ms = (time.monotonic() - started) * 1000

    def repeat(
        self,
        prepared: Prepared,
        token: CancelToken,
        *,
        cores: tuple[int, ...] | None = None,
        executor: Executor | None = None,
    ) -> Execution:
        """Run a task's command once more; nothing is kept or delivered of what comes of it, and
        nobody sees what it prints. See :meth:`run`."""
        action = prepared.action
        assert action is not None
        executor = executor or self.executors.get(isolation_of(action))
        if executor is None:
            raise IsolationError.of(isolation_of(action))
        self._ingest(action)
        request = self._request(prepared, action, cores)
        return executor.execute(request, self.hold, lambda data: None, token)

    def keep_repetition(
        self, prepared: Prepared, name: Digest, execution: Execution, label: str
    ) -> None:
        """Put what a repetition made into the cache, under a name that no action has."""
        task, action = prepared.task, prepared.action
        assert action is not None
        assert execution.outputs is not None
        self._put_result(
            task, name, isolation_of(action), execution, execution.outputs, f" ({label})"
        )

    def install(self, report: TaskReport, prepared: Prepared, token: CancelToken) -> None:
        """Install the workspace's dependencies; ``report`` takes in what came of it."""
        assert self.dependencies is not None
        assert prepared.action is not None
        started, laps, limits = time.monotonic(), Laps(), self.limits
        report.times = laps.times
        request = self.dependencies.request(limits.timeout_s, limits.output_bytes, limits.action)
        execution = self._execute(prepared.action, request, report.task, token)
        laps.take(execution.times)
        if execution.outputs is None:
            hints = self.dependencies.hints(self._end_of(execution.log))
            execution = replace(execution, hints=(*execution.hints, *hints))
        self._take(report, execution)
        if execution.outputs is not None:
            self._keep(prepared.task, prepared.action, execution, execution.outputs)
            self.dependencies.unpack(execution.outputs, self.hold)
        laps.lap(UPLOAD)
        report.duration_ms = (time.monotonic() - started) * 1000

    def _request(
        self, prepared: Prepared, action: Action, cores: tuple[int, ...] | None
    ) -> ExecutionRequest:
        task = prepared.task
        return ExecutionRequest(
            action=action.digest,
            command=action.spec.command,
            working_directory=task.path,
            environment=prepared.environment,
            path_entries=task.path_entries,
            path_variables=task.env_paths,
            inputs=action.spec.inputs,
            mounts=self._mounts(task),
            outputs=task.outputs,
            reports=task.junit,
            timeout_s=task.requirements.timeout_s or self.limits.timeout_s,
            network=task.network,
            output_limit_bytes=self.limits.output_bytes,
            limits=limits_of(task.requirements, self.limits.action, cores),
            workspace=self.root,
        )

    def deliver(self, prepared: Prepared) -> None:
        """Put a result's outputs into the workspace and note that they stand there."""
        task, action = prepared.task, prepared.action
        assert action is not None
        deliver(
            prepared.outputs,
            task.outputs,
            self.root,
            self.hold,
            self.table,
            stale=self._stale(task, prepared.outputs),
        )
        self.record_run(task, action, prepared.outputs)

    def _clear(self, task: Task) -> None:
        """Remove what stands at a task's outputs from the workspace: a command that runs there must
        not find it, or it would be part of the result."""
        stale = self._stale(task, EMPTY_TREE)
        deliver(EMPTY_TREE, task.outputs, self.root, self.hold, self.table, stale=stale)

    def _stale(self, task: Task, outputs: DirectoryTree) -> Mapping[str, Leaf]:
        """Return what earlier runs left that patterns cover and this result no longer has.

        What is about to be put there is noted beside it: should the node die before the delivery is
        recorded, the next one knows of both.
        """
        if not has_patterns(task.outputs):
            return {}
        made = self.store.made(self.workspace_id, str(task.id))
        both = {**made, **stale_outputs(outputs.leaves(), EMPTY_TREE, task.outputs)}
        if both != made:
            self.store.record_made(self.workspace_id, str(task.id), both)
        return stale_outputs(made.items(), outputs, task.outputs)

    def record_run(self, task: Task, action: Action, outputs: DirectoryTree) -> None:
        """Note that the workspace holds this action's outputs."""
        run = LastRun(action.digest, outputs.digest, time.time())
        if has_patterns(task.outputs):
            # What is stale later is told by this alone.
            made = stale_outputs(outputs.leaves(), EMPTY_TREE, task.outputs)
            self.store.record_run(self.workspace_id, str(task.id), run, made)
        else:
            self.runs[str(task.id)] = run

    def found(self, prepared: Prepared) -> None:
        """Note that a result was found, and is in the workspace if it is not to be put there."""
        task, action = prepared.task, prepared.action
        if task.is_gathered:
            self.clear_former_shards(task)
        elif action is not None and prepared.tier is Tier.LOCAL_CACHE and not prepared.undelivered:
            self.record_run(task, action, prepared.outputs)

    def clear_former_shards(self, task: Task) -> None:
        """Remove from the workspace what shards of a task have left that it has no more; its shards
        of now have all made theirs."""
        former = self.store.made(self.workspace_id, str(task.id))
        made = merge_trees(self.resolver.seen(each).own for each in task.depends_on)
        stale = {path: leaf for path, leaf in former.items() if made.find(path) is None}
        if stale:
            deliver(EMPTY_TREE, (), self.root, self.hold, self.table, stale=stale)
        leaves = dict(made.leaves())
        if _contents(leaves) != _contents(former):
            self.store.record_made(self.workspace_id, str(task.id), leaves)

    def label(self, task: Task) -> str:
        """Return what results of a task are called in the cache."""
        return label_of(self.resolver.workspace, task)

    def keep_runs(self) -> None:
        """Commit what was noted of the build's tasks. Without it their results are found in the
        cache next time, not in place. From any thread, and from several, while tasks run."""
        popped = {task: self.runs.pop(task, None) for task in tuple(self.runs)}
        noted = {task: run for task, run in popped.items() if run is not None}
        try:
            self.store.record_runs(self.workspace_id, noted)
        except BaseException:
            self.runs.update(noted)
            raise

    def _take_cached(self, report: TaskReport, prepared: Prepared) -> bool:
        assert prepared.action is not None
        accepted = frozenset({isolation_of(prepared.action)})
        record = self.hold.get_action(prepared.action.digest, accepted)
        found = decode_record(record, prepared.task.path, self.hold) if record else None
        if found is None:
            return False
        done = replace(prepared, tier=Tier.LOCAL_CACHE, outputs=found.outputs, log=found.log)
        self.resolver.claim(done)
        try:
            self.deliver(done)
        except MissingBlobError:
            return False
        self.resolver.settle(done)
        report.status, report.tier, report.exit_code = Status.SUCCEEDED, Tier.LOCAL_CACHE, 0
        report.log, report.tests = found.log, tests_of(prepared.task, found.outputs, self.hold)
        return True

    def _require_inputs(self, action: Action, *, meanwhile: bool = False) -> None:
        """See that the workspace holds what the action's key says, for commands that run in it.

        ``meanwhile``: something changed while the command ran, even if it was changed back.

        Raises:
            SourceChangedError: a source was changed since the key was made.
        """
        hint = "build again; this result was not kept"
        if meanwhile:
            raise SourceChangedError("a source changed while the command ran", hint=hint)
        for path, leaf in action.spec.inputs.leaves():
            if isinstance(leaf, FileEntry) and not self._holds(path, leaf.digest):
                raise SourceChangedError(f"{path} changed during the build", hint=hint)

    def _holds(self, path: str, digest: Digest) -> bool:
        file = self.root / path
        try:
            known = self.table.lookup(path, file.stat())
            return (known or digest_file(str(file), path, self.table, time.time_ns)) == digest
        except OSError:
            return False

    def _execute(
        self,
        action: Action,
        request: ExecutionRequest,
        task: TaskId,
        token: CancelToken,
        executor: Executor | None = None,
    ) -> Execution:
        """Run the command; if an input was lost or damaged in the store, take it in anew once."""
        executor = executor or self.executors.get(isolation_of(action))
        if executor is None:
            raise IsolationError.of(isolation_of(action))
        self._ingest(action)
        with self.tell(task) as tell:
            try:
                return executor.execute(request, self.hold, tell, token)
            except MissingBlobError:
                # Where one was torn, by a power failure say, others are too: see to all of them.
                for _, leaf in action.spec.inputs.leaves():
                    if isinstance(leaf, FileEntry):
                        with suppress(MissingBlobError):
                            self.hold.read(leaf.digest, 0, 0)
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
            self.hold.put_file(f"{self.root}/{files[digest]}", expected=digest)

    def keep_descriptions(self) -> None:
        """Store what the actions of this build consisted of: what tells changes apart later.

        For after the build, since nobody waits for it. Blocks.
        """
        blobs: dict[Digest, bytes] = {}
        for action in self.performed:
            blobs.update((tree.digest, tree.encoded) for tree in action.spec.inputs.directories())
            blobs[action.digest] = action.encoded
            blobs[Digest.of(action.command_encoded)] = action.command_encoded
        self.performed.clear()
        for digest in self.store.missing(blobs):
            self.store.put(blobs[digest])

    def _keep(
        self, task: Task, action: Action, execution: Execution, outputs: DirectoryTree
    ) -> None:
        """Put the result into the action cache, signed by this node."""
        self.performed.append(action)
        self._put_result(task, action.digest, isolation_of(action), execution, outputs)

    def _put_result(
        self,
        task: Task,
        name: Digest,
        isolation: str,
        execution: Execution,
        outputs: DirectoryTree,
        label: str = "",
    ) -> None:
        result = encode_result(outputs, task.path, task.outputs, execution.log)
        for tree in result.trees:
            self.hold.put(tree)
        self.hold.put_action(
            ActionRecord(
                action=name,
                result=result.encoded,
                isolation=isolation,
                worker=self.key.public_key,
                signature=self.key.sign(signed_message(name, isolation, result.encoded)),
                created_at=time.time(),
                duration_ms=execution.outcome.duration_ms,
                label=f"{label_of(self.resolver.workspace, task)}{label}",
                references=result.references,
            )
        )

    def _take(self, report: TaskReport, execution: Execution) -> None:
        report.take(execution, self._end_of(execution.log) if execution.outputs is None else "")

    def _end_of(self, log: Digest) -> str:
        offset = max(0, log.size_bytes - OUTPUT_TAIL_BYTES)
        return self.hold.read(log, offset, OUTPUT_TAIL_BYTES).decode(errors="replace")


def _contents(leaves: Mapping[str, Leaf]) -> dict[str, Digest | str]:
    return {
        path: leaf.digest if isinstance(leaf, FileEntry) else leaf.target
        for path, leaf in leaves.items()
    }
