"""What this node learned of how long commands and builds take, and where it is kept.

Of each workspace, by its name, there is one memory, whichever checkouts of it are built here. It is
read from the store when a build of it begins, and written after each build that ran something.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

from buildnet.mesh.errors import BuildNetError
from buildnet.node.resolve import label_of
from buildnet.node.store import Store
from buildnet.pool.estimation.learning import Lesson, learn_build, learn_runs
from buildnet.pool.estimation.memory import WorkspaceMemory
from buildnet.pool.estimation.sample import Sample, TaskMemory
from buildnet.pool.workspace import Task, TaskId, Workspace

MOST_WORKSPACES = 64
"""Of so many workspaces the memory is at hand; the others' is read again."""
_WHOLE = ""
"""The task under which what is learned of the workspace itself is kept."""
_log = logging.getLogger("buildnet.builds")


def name_of(task: TaskId) -> str:
    """Return what a task is called in a workspace's memory."""
    return f"{task.package}#{task.task}"


class Estimates:
    """See the module's text. Methods block; from any thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.lock = threading.RLock()
        """Held while a memory is read from or changed."""
        self._known: OrderedDict[str, WorkspaceMemory] = OrderedDict()

    def memory(self, workspace: Workspace, tasks: Iterable[Task]) -> WorkspaceMemory:
        """Return what is known of a workspace. Of ``tasks`` that never ran here, but whose results
        came from other nodes, these tell how long they took there."""
        with self.lock:
            memory = self._known.get(workspace.name)
            if memory is None:
                memory = self._known[workspace.name] = self._read(workspace.name)
            self._known.move_to_end(workspace.name)
            while len(self._known) > MOST_WORKSPACES:
                self._known.popitem(last=False)
            self._take_from_results(memory, workspace, tasks)
            return memory

    def durations_ms(self, workspace: Workspace, tasks: Iterable[Task]) -> dict[TaskId, float]:
        """Return what those of the tasks take on this node that ran before."""
        tasks = tuple(tasks)
        memory = self.memory(workspace, tasks)
        with self.lock:
            some = [
                task.id
                for task in tasks
                if (known := memory.tasks.get(name_of(task.id))) is not None and known.samples
            ]
            expected = memory.expected((name_of(task), task.task, 0) for task in some)
            return {task: each.whole.median_ms for task, each in zip(some, expected, strict=True)}

    def learn(
        self,
        workspace: str,
        runs: Mapping[str, Sample],
        transfers_ms: Sequence[float],
        lesson: Lesson | None,
    ) -> None:
        """Take note of commands that ran to a good end, and of their build, if that did.
        ``transfers_ms``: what those that ran elsewhere took besides."""
        with self.lock:
            memory = self._known.get(workspace)
            if memory is None:  # many others were built meanwhile
                memory = self._known[workspace] = self._read(workspace)
            changed = set(runs)
            if lesson is not None:
                learn_build(memory, lesson)
                changed |= {piece.name for piece in lesson.forecaster.pieces}
            learn_runs(memory, runs)
            for each_ms in transfers_ms:
                memory.keep(memory.transfer_ms, each_ms)
            states = {each: memory.tasks[each].as_dict() for each in changed & memory.tasks.keys()}
            states[_WHOLE] = memory.as_dict()
        try:
            self._store.learned.put(workspace, states, int(time.time() * 1000))
        except (OSError, BuildNetError):  # the next build writes it
            _log.exception("what was learned of %s could not be kept", workspace)

    def _read(self, workspace: str) -> WorkspaceMemory:
        kept = self._store.learned.read(workspace)
        try:
            memory = WorkspaceMemory.read(kept.pop(_WHOLE, {}))
            memory.tasks |= {name: TaskMemory.read(state) for name, state in kept.items()}
        except (ValueError, TypeError):
            _log.exception("what was learned of %s can't be read: it is learned anew", workspace)
            return WorkspaceMemory()
        return memory

    def _take_from_results(
        self, memory: WorkspaceMemory, workspace: Workspace, tasks: Iterable[Task]
    ) -> None:
        asked = {
            label_of(workspace, task): name_of(task.id)
            for task in tasks
            if task.command is not None and name_of(task.id) not in memory.tasks
        }
        if not asked:
            return
        found = self._store.durations_ms(tuple(asked))
        for label, name in asked.items():
            took_ms = found.get(label)
            samples = [] if took_ms is None else [Sample(took_ms, None)]
            memory.tasks[name] = TaskMemory(samples)
