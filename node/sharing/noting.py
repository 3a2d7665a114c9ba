"""An executor that tells what a host has got and made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from buildnet.node.execute.cancel import CancelToken
from buildnet.node.execute.executor import Execution, ExecutionRequest, Executor, OnOutput
from buildnet.node.store import Hold
from buildnet.pool.tree import EMPTY_TREE, DirectoryTree


@dataclass(frozen=True, slots=True)
class Noting:
    """Runs actions with another executor; ``note`` is called on ``loop`` with inputs and outputs of
    each that has ended."""

    executor: Executor
    loop: asyncio.AbstractEventLoop
    note: Callable[[DirectoryTree, DirectoryTree], None]

    @property
    def isolation(self) -> str:
        """See :class:`Executor`."""
        return self.executor.isolation

    def execute(
        self, request: ExecutionRequest, hold: Hold, on_output: OnOutput, cancel: CancelToken
    ) -> Execution:
        """See :class:`Executor`."""
        execution = self.executor.execute(request, hold, on_output, cancel)
        outputs = execution.outputs or EMPTY_TREE
        self.loop.call_soon_threadsafe(self.note, request.inputs, outputs)
        return execution
