"""The tests of one build: how its tasks are split into shards, and what is learned from them."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from buildnet.mesh.errors import BuildNetError
from buildnet.node.kept_tests import KeptTests
from buildnet.node.report import TaskReport
from buildnet.node.retrying import BY_ITSELF
from buildnet.node.sources import Sources
from buildnet.pool.build import Status
from buildnet.pool.glob import Patterns
from buildnet.pool.learned_tests import WHOLE_COMMAND
from buildnet.pool.sharding import split
from buildnet.pool.tested import TaskTests
from buildnet.pool.tree import EMPTY_TREE, DirectoryTree
from buildnet.pool.workspace import BUILD, Task, TaskId, Workspace

COMMAND = "(the command)"
"""What is told as flaky where no report names tests."""


@dataclass(frozen=True, slots=True)
class Split:
    """The tasks of a build with their shards; ``predicted_ms``: how long those may take."""

    tasks: Mapping[TaskId, Task]
    waiting: Collection[TaskId]
    predicted_ms: Mapping[TaskId, float]


@dataclass(slots=True)
class BuildTests:
    """See the module's text. ``force``: all commands run, whatever is cached. Methods block a
    little; any thread may call them."""

    kept: KeptTests
    workspace: Workspace
    workspace_id: str
    force: bool = False
    _has_changed: bool = False

    def split(
        self,
        tasks: Mapping[TaskId, Task],
        waiting: Collection[TaskId],
        reader: Sources,
        outputs: Patterns,
        slots: int,
    ) -> Split:
        """Put shards in place of the tasks that have some.

        Args:
            tasks: those to be looked at; ``waiting``: those of them that do not stand.
            reader: reads which tests there are, without ``outputs``.
            slots: commands that the pool can run at once.

        Raises:
            TooManyTestsError: the tests of a shard do not fit into its command.
        """
        found: dict[TaskId, Task] = {}
        predicted: dict[TaskId, float] = {}
        for task in tasks.values():
            if task.shards is None or task.command is None:
                found[task.id] = task
                continue
            files = [path for path, _ in _tree(task.tests, None, reader, outputs).leaves()]
            own = task.path if task.default_sources else None
            sources = _tree(task.sources, own, reader, outputs)
            with self.kept.of(self.workspace_id) as learned:
                learned.workspace = self.workspace.name
                learned.root = str(self.workspace.root)
                times = learned.times(str(task.id))
                at_once = max(1, slots // task.requirements.slots)
                division = times.divide(
                    task.shards,
                    files,
                    at_once,
                    sources=sources.digest.hash,
                    others=sources.without(files).digest.hash,
                    anew=self.force,
                )
                times.forget_all_but(files)
            parts = split(task, division.shards)
            self._has_changed = True
            found |= parts
            predicted |= dict(zip(parts, division.predicted_ms, strict=False))
        return Split(found, (*waiting, *(each for each in found if each not in tasks)), predicted)

    def ran(self, task: Task, report: TaskReport, speed: float = 1.0) -> None:
        """Learn from a command that ran on this node or on one of so many times its speed, and add
        to its report which tests came out differently before."""
        if task.name == BUILD or report.action is None:
            return
        failed = _failed(report)
        if failed is None:
            return
        whole = task.part_of or task.id
        with self.kept.of(self.workspace_id) as learned:
            by_file = report.tests.by_file_ms if report.tests is not None else {}
            # One that failed without telling which tests took how long may have ended early.
            if task.shard is not None and (by_file or report.status is Status.SUCCEEDED):
                learned.times(str(whole)).ran(
                    task.shard,
                    report.duration_ms * speed,
                    {file: ms * speed for file, ms in by_file.items()},
                )
            changed = learned.came_out(
                str(whole), report.action.hash, failed, time.time(), report.node_name
            )
        self._has_changed = True
        if changed:
            names = (COMMAND if name == WHOLE_COMMAND else name for name in changed)
            report.tests = (report.tests or TaskTests()).with_flaky(names)

    def save(self) -> None:
        """Keep what was learned."""
        if self._has_changed:
            self._has_changed = False
            self.kept.save(self.workspace_id)


def _tree(
    patterns: tuple[str, ...], default: str | None, reader: Sources, outputs: Patterns
) -> DirectoryTree:
    try:
        return reader.tree(patterns, default, outputs).tree
    except BuildNetError:
        return EMPTY_TREE  # the task tells what can't be read


def _failed(report: TaskReport) -> tuple[str, ...] | None:
    """Return which tests failed; None: the command did not come out in any way."""
    if report.status is Status.SUCCEEDED:
        return ()
    if report.status is not Status.FAILED or (report.error or {}).get("code") not in BY_ITSELF:
        return None
    return (report.tests.failed_names if report.tests is not None else ()) or (WHOLE_COMMAND,)
