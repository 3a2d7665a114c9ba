"""Runs commands of one build again that failed by themselves, as often as somebody asked for."""

from __future__ import annotations

from dataclasses import dataclass, field

from buildnet.node.report import Retry, TaskReport
from buildnet.pool.build import Status
from buildnet.pool.workspace import BUILD, Task, TaskId

BY_ITSELF = frozenset({"COMMAND_FAILED", "TIMED_OUT"})
"""Failures that are the command's: it ran, and came out so."""
_MOST_FAILED = 50


@dataclass(slots=True)
class Retrying:
    """``most``: so often each command but builds may run again, or as often as its task says.
    ``tried``: for each command that does, the owners of the other hosts that it has run on, None:
    this one."""

    most: int = 0
    tried: dict[TaskId, set[bytes | None]] = field(default_factory=dict)
    _failed: dict[TaskId, list[Retry]] = field(default_factory=dict)

    def again(self, task: Task, report: TaskReport, owner: bytes | None) -> bool:
        """Tell whether a command that has run is to run again; put into its report what came of it
        before. ``owner``: of the host on which it ran, None: this one."""
        failed = self._failed.setdefault(task.id, [])
        report.retries = tuple(failed)
        wanted = max(task.retries, self.most if task.name != BUILD else 0)
        is_its_own = (report.error or {}).get("code") in BY_ITSELF
        if report.status is not Status.FAILED or not is_its_own or len(failed) >= wanted:
            return False
        names = () if report.tests is None else report.tests.failed_names[:_MOST_FAILED]
        failed.append(
            Retry(report.node, report.node_name, report.duration_ms, report.exit_code, names)
        )
        self.tried.setdefault(task.id, set()).add(owner)
        return True
