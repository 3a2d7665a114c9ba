"""The levels of isolation that one host can give, and who runs commands in each."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from buildnet.node.execute.control_groups import ControlGroups
from buildnet.node.execute.executor import Executor, StagedExecutor, WorkspaceExecutor
from buildnet.node.execute.isolation import Isolation, IsolationProbe
from buildnet.node.execute.launcher.client import Launcher
from buildnet.node.execute.reads.executor import TracingExecutor
from buildnet.node.execute.strict import StrictExecutor


class Levels:
    """What a node runs commands with. Methods block, unless they say otherwise.

    Args:
        work: directory of the stages of running actions.
        wanted: the level that actions get which ask for none; None: the best that the host can.
        private: the node's own directory, of which no command in ``strict`` may see anything.
        groups: control groups in which the kernel keeps the limits; None: the node watches them.
    """

    def __init__(
        self, work: Path, wanted: str | None, private: Path, groups: ControlGroups | None
    ) -> None:
        # Elsewhere the node starts commands itself.
        self.launcher = Launcher("plain", work) if sys.platform == "linux" else None
        if self.launcher is not None:
            self.launcher.groups = groups
        self._staged = StagedExecutor(work, self.launcher)
        self._probe = IsolationProbe(work, wanted, groups)
        self._strict: StrictExecutor | None = None
        self._making = threading.Lock()
        self._private = private

    @property
    def limits_kept_by(self) -> str:
        """Who ends a command beyond its limits of memory and processes. Does not block."""
        return "node" if self.launcher is None or self.launcher.groups is None else "kernel"

    @property
    def known(self) -> Isolation | None:
        """What actions get that ask for nothing else; None as long as it is being found out. Does
        not block."""
        return self._probe.known

    def default(self) -> Isolation:
        """Return what actions get that ask for nothing else; find it out if need be."""
        return self._probe.result()

    def executors(self, root: Path) -> dict[str, Executor]:
        """Return who runs the commands of a workspace at ``root``, by level."""
        isolation = self.default()
        found: list[Executor] = [
            self._staged,
            WorkspaceExecutor(root, self._staged.work, self.launcher),
        ]
        if isolation.launcher is not None:
            with self._making:  # two would make the same stages
                if self._strict is None:
                    self._strict = StrictExecutor(self._staged, isolation, self._private)
            found.append(self._strict)
        return {executor.isolation: executor for executor in found}

    def tracing(self, root: Path) -> dict[str, Executor]:
        """Return who runs the commands of a workspace where they stand, and hears what they read.

        Raises:
            TraceError: this host can't do that.
        """
        executor = TracingExecutor(root, self._staged.work)
        return {executor.isolation: executor}

    def strict(self) -> StrictExecutor | None:
        """Return who runs actions in ``strict``; None: this host can't."""
        self.executors(self._staged.work)
        return self._strict

    def tidy(self) -> None:
        """Remove the stages of actions that have ended."""
        self._staged.tidy()

    def close(self) -> None:
        """End the processes that start commands; none may run any more."""
        self._probe.close()
        if self.launcher is not None:
            self.launcher.close()
