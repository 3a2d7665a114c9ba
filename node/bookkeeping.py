"""The records of builds: in the node's own history, and in the ledger.

A build that found most packages as they were records the others, and which earlier build has those;
so having nothing to do costs the same to record whatever the number of packages.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

from buildnet.ledger.history import History, Unchanged
from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.node.build_record import TERM, BuildBegan, BuildEnded, Results, leaf_of
from buildnet.node.dead_letters import DeadLetters, is_given_up, letter_of
from buildnet.node.recording import Record
from buildnet.node.report import AS_BEFORE, TaskReport
from buildnet.node.running import RunningBuild
from buildnet.node.standing import Complete, Plan, StandingTask
from buildnet.node.store import Store
from buildnet.node.tracing.spans import BuildRan
from buildnet.node.workspaces import OpenWorkspace, Recorded
from buildnet.pool.build import Status
from buildnet.pool.result import signed_message
from buildnet.pool.workspace import TaskId

_MOST_DEPTH = 16  # of builds that refer to earlier ones: to read one, all of them are read
_MOST_LEAVES = 50_000
_log = logging.getLogger("buildnet.builds")


class Bookkeeping:
    """Keeps the records of a node's builds; ``record`` takes what the ledger is to tell."""

    def __init__(self, history: History, record: Callable[[Record], None], store: Store) -> None:
        self._history = history
        self._record = record
        self._store = store
        self._leaves: dict[Digest, bytes] = {}
        self.letters: DeadLetters | None = None
        """Takes what was given up; None: nothing does."""
        self.ended: Callable[[BuildRan], None] = lambda build: None
        """Called with each build that ended."""

    def tell_begin(self, build: RunningBuild, plan: Plan) -> None:
        """Tell the ledger that a build begins."""
        self._tell_begin(build, plan.packages, 0)

    def _tell_begin(self, build: RunningBuild, packages: tuple[str, ...], more: int) -> None:
        request = build.request
        self._record(
            BuildBegan(
                build.id,
                build.warrant,
                request.actor,
                build.workspace.name,
                request.task,
                packages,
                more,
                request.choice.configuration,
            )
        )

    async def begin(self, build: RunningBuild) -> None:
        """Record that a build runs.

        Raises:
            BuildNetError: that can't be written.
        """
        await self._history.begin(
            build.id,
            workspace=build.workspace.name,
            root=str(build.workspace.root),
            request=build.request.as_dict(),
            started_at=build.started_at,
            triggered_by=build.request.actor,
            durable=build.durable,
        )

    async def end(
        self,
        build: RunningBuild,
        plan: Plan,
        opened: OpenWorkspace,
        status: Status,
        duration_ms: float,
        error: BuildNetError | None,
    ) -> BuildNetError | None:
        """Record how a build ended and tell the ledger. Return an error if it could not be
        recorded: the asker must not take it as kept."""
        same = opened.recorded.get(plan.key)
        if same is not None and same.depth >= _MOST_DEPTH:
            same = None
        reports = build.told()
        await asyncio.to_thread(self._note_executions, reports.values())
        rows = [report.told() for report in reports.values()]
        used = [each.action for each in build.reports().values() if each.action is not None]
        lists: list[TaskReport] = []
        actions = {
            task: report.action.hash if report.action else None for task, report in reports.items()
        }
        for task, known in build.unchanged.items():
            action = actions[task] = known.action.hash if known.action else None
            if known.action is not None:
                used.append(known.action)
            if same is None or same.actions.get(task, "") != action:
                lists.append(build.report_of(task, known))
        if lists:
            await asyncio.to_thread(self._note_executions, lists)
            rows += [report.as_dict() for report in lists]
        unrecorded = await self._finish(build, status, duration_ms, error, rows, same)
        if unrecorded is not None:
            status, error = Status.FAILED, error or unrecorded
        elif opened.definition.workspace is not build.workspace or not _lists(build, plan):
            opened.recorded.pop(plan.key, None)
        else:
            depth = 0 if same is None else same.depth + 1
            opened.recorded[plan.key] = Recorded(build.id, depth, actions)
        if not build.ended_elsewhere:  # else its end is told, and this one counts no more
            results = Results(used, self._leaf)
            self._tell_end(build, status, duration_ms, error, results, build.term)
        return unrecorded

    async def _finish(
        self,
        build: RunningBuild,
        status: Status,
        duration_ms: float,
        error: BuildNetError | None,
        rows: list[dict[str, object]],
        same: Recorded | None,
    ) -> BuildNetError | None:
        reports = build.told().values()
        given_up = [letter_of(build, each) for each in reports if is_given_up(each)]
        if self.letters is not None and given_up:
            await asyncio.to_thread(self.letters.put, given_up)
        await self._settle_letters(build)
        try:
            await self._history.finish(
                build.id,
                status=status.value,
                completed_at=time.time(),
                duration_ms=duration_ms,
                error=error.message if error else None,
                packages=rows,
                estimate=build.estimate,
                unchanged=Unchanged(same.build_id, AS_BEFORE)
                if same is not None and build.unchanged
                else None,
                phases=build.phases.as_dict(),
                notices=build.progress.notices,
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

    async def end_of_other(
        self,
        build: RunningBuild,
        status: Status,
        duration_ms: float,
        error: BuildNetError | None,
        term: int,
    ) -> None:
        """Record how a build ended that this node went on with for another one, under the number
        ``term``, and tell the ledger.

        Raises:
            BuildNetError: that can't be written.
        """
        reports = build.told()
        await asyncio.to_thread(self._note_executions, reports.values())
        rows = [report.told() for report in reports.values()]
        unrecorded = await self._finish(build, status, duration_ms, error, rows, None)
        if unrecorded is not None:
            raise unrecorded
        used = [each.action for each in build.reports().values() if each.action is not None]
        results = Results(used, self._leaf)
        self._tell_end(build, status, duration_ms, error, results, term)

    def complete(self, plan: Plan, opened: OpenWorkspace) -> Complete | None:
        """Return what answers the next request for ``plan`` as long as nothing changes; None: some
        task does not stand, or no record lists them all."""
        recorded = opened.recorded.get(plan.key)
        standing = opened.standing.tasks
        if recorded is None:
            return None
        tasks: dict[TaskId, StandingTask] = {}
        actions: list[Digest] = []
        for task in plan.tasks:
            known = standing.get(task)
            if known is None:
                return None
            tasks[task] = known
            if known.action is not None:
                if recorded.actions.get(task) != known.action.hash:
                    return None
                actions.append(known.action)
        return Complete(
            recorded.build_id,
            tasks,
            Results(actions, self._leaf),
        )

    async def had_nothing_to_do(
        self, build: RunningBuild, complete: Complete, duration_ms: float
    ) -> None:
        """Record a build all of whose tasks stood.

        Raises:
            BuildNetError: that can't be written.
        """
        request, name = build.request, build.workspace.name
        count = len(complete.tasks)
        await self._history.add_unchanged(
            build.id,
            workspace=name,
            root=str(build.workspace.root),
            request=request.as_dict(),
            started_at=build.started_at,
            completed_at=time.time(),
            duration_ms=duration_ms,
            triggered_by=request.actor,
            unchanged=Unchanged(complete.build_id, AS_BEFORE),
        )
        self._tell_begin(build, (), count)
        self._tell_end(build, Status.SUCCEEDED, duration_ms, None, complete.results)
        await self._settle_letters(build)

    async def _settle_letters(self, build: RunningBuild) -> None:
        """Let commands that were given up before, and have run now, be told of no more."""
        if self.letters is None or build.request.dry_run or not self.letters.all():
            return
        reports = build.told().items()
        ran = {task for task, report in reports if report.status is Status.SUCCEEDED}
        done = ran | build.unchanged.keys()
        await asyncio.to_thread(self.letters.settle, str(build.workspace.root), done)

    def _tell_end(
        self,
        build: RunningBuild,
        status: Status,
        duration_ms: float,
        error: BuildNetError | None,
        results: Results,
        term: int = TERM,
    ) -> None:
        self.ended(_ran(build, status, duration_ms, error))
        self._record(
            BuildEnded(
                build.id,
                build.request.actor,
                status.value,
                duration_ms,
                error.message if error else None,
                tuple(report.told() for report in build.told().values()),
                len(build.unchanged),
                results,
                term,
                build.cancelled_how,
            )
        )

    def _note_executions(self, reports: Iterable[TaskReport]) -> None:
        """Note in reports how long the commands ran whose results were there. Blocks."""
        there = [each for each in reports if each.executed_ms is None and each.action is not None]
        found = self._store.executed_ms([each.action for each in there if each.action is not None])
        for each in there:
            if each.action is not None and each.status is Status.SUCCEEDED:
                each.executed_ms = found.get(each.action.hash)

    def _leaf(self, action: Digest) -> bytes | None:
        known = self._leaves.get(action)
        if known is not None:
            return known
        found = self._store.peek_action(action)
        if found is None:
            return None
        if len(self._leaves) >= _MOST_LEAVES:
            self._leaves.clear()
        leaf = leaf_of(signed_message(found.action, found.isolation, found.result))
        self._leaves[action] = leaf
        return leaf


def _lists(build: RunningBuild, plan: Plan) -> bool:
    """Whether a build tells of the tasks of its plan, all of them and nothing else."""
    return build.told().keys() | build.unchanged.keys() == plan.tasks.keys()


def _ran(
    build: RunningBuild, status: Status, duration_ms: float, error: BuildNetError | None
) -> BuildRan:
    began_ns, workspace = int(build.started_at * 1e9), build.workspace
    return BuildRan(
        build.id,
        build.request.actor,
        workspace.name,
        build.request.task,
        began_ns,
        began_ns + int(duration_ms * 1e6),
        status,
        error.message if error else None,
        [
            (f"{workspace.name}/{task.package} {task.task}", report)
            for task, report in build.reports().items()
        ],
        len(build.unchanged),
    )
