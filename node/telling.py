"""What one build tells of its tasks: a report of each, and the events that those who watch see."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from buildnet.mesh.errors import BuildNetError
from buildnet.node.gathering import gather
from buildnet.node.output_teller import OutputTeller
from buildnet.node.progress import Progress
from buildnet.node.report import TaskReport
from buildnet.node.resolve import Prepared
from buildnet.node.timings import Timings
from buildnet.pool.build import Status
from buildnet.pool.workspace import Task, TaskId

_log = logging.getLogger("buildnet.builds")


class TestsFailedError(BuildNetError):
    """Shards of a task failed, and the task with them."""

    code = "TESTS_FAILED"


class UnexpectedError(BuildNetError):
    """Something failed in a way that nobody foresaw; the task counts as failed, not the node."""

    code = "UNEXPECTED"

    @classmethod
    def of(cls, error: Exception) -> UnexpectedError:
        return cls(
            "the node could not do this task's work",
            cause=f"{type(error).__name__}: {error}",
            hint="the node's log has the details",
        )


@dataclass(frozen=True, slots=True)
class Telling:
    """See the module's text. ``reports`` holds what became of each task so far, shards included."""

    node_id: str
    progress: Progress
    tasks: Mapping[TaskId, Task] = field(default_factory=dict)
    reports: dict[TaskId, TaskReport] = field(default_factory=dict)
    running: dict[TaskId, str] = field(default_factory=dict)
    """Commands that run now, and on which node."""
    timings: Timings = field(default_factory=Timings)
    began: dict[TaskId, float] = field(default_factory=dict)
    """When those that ran last began, by the monotonic clock."""

    def new_report(
        self, task: TaskId, status: Status, prepared: Prepared | None = None
    ) -> TaskReport:
        """Begin a report; what is known of where a result came from stands in it, and, whatever
        becomes of the task, what it depends on."""
        node = prepared.node if prepared is not None and prepared.node else self.node_id
        report = TaskReport.of(task, node, status, prepared)
        known = self.tasks.get(task)
        report.shard = None if known is None else known.shard
        if known is not None and prepared is None:
            split = self.tasks.get(known.depends_on[0]) if known.is_gathered else None
            report.depends_on = (known if split is None else split).depends_on
        return report

    def require_shards(self, task: Task) -> None:
        """See that none of a task's shards failed.

        Raises:
            TestsFailedError: some did.
        """
        shards = self._shards(task)
        failed = sum(each.status is not Status.SUCCEEDED for each in shards)
        if failed:
            raise TestsFailedError(f"{failed} of {len(shards)} shards failed")

    def _shards(self, task: Task) -> list[TaskReport]:
        if not task.is_gathered:
            return []
        return [self.reports[each] for each in task.depends_on if each in self.reports]

    def fail(self, report: TaskReport, error: Exception) -> None:
        """Let a task fail, and it alone, also where nobody foresaw why."""
        if not isinstance(error, BuildNetError):
            _log.error("%s could not be run", report.task, exc_info=error)
            error = UnexpectedError.of(error)
        report.fail(error)

    def report(self, report: TaskReport) -> None:
        """Keep a report that is complete, and tell it."""
        known = self.tasks.get(report.task)
        if known is not None and (shards := self._shards(known)):
            gather(report, shards)
        report.ended_ns = time.time_ns()
        self.keep(report)
        self.running.pop(report.task, None)
        self.progress.tell({"type": "task_finished", **report.told()})

    def keep(self, report: TaskReport) -> None:
        """Keep a report that is complete; it is told together with others."""
        if not report.shards:
            report.timeline = self.timings.of(report.task, report.times)
        self.reports[report.task] = report

    def started(self, task: TaskId, node: str | None = None) -> None:
        """Tell that a command begins, on this node unless another is named."""
        self.timings.begins(task)
        where = self.running[task] = node or self.node_id
        self.began[task] = time.monotonic()
        event = {"type": "task_started", "name": task.package, "task": task.task}
        self.progress.tell({**event, "node": where, "at": round(time.time(), 3)})

    def runs_again(self, report: TaskReport) -> None:
        """Tell that a command failed and is to run again."""
        self.running.pop(report.task, None)
        error = report.error or {}
        where = "" if report.node_name is None else f" on {report.node_name}"
        self.notice(f"{report.task} failed{where} and was begun again: {error.get('message')}")

    def notice(self, text: str) -> None:
        """Tell people of something that is no task's result."""
        self.progress.notice(text)

    def up_to_date(self, count: int, tasks: Sequence[str] = ()) -> None:
        """Tell of tasks for which nothing had to be done."""
        self.progress.tell({"type": "tasks_up_to_date", "count": count, "tasks": list(tasks)})

    def output(self, task: TaskId, loop: asyncio.AbstractEventLoop) -> OutputTeller:
        """Return what takes the output of ``task`` on any thread and passes it on."""
        return OutputTeller(self.progress, loop, task.package, task.task)
