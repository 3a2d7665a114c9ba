"""Runs commands in the workspace, as :class:`WorkspaceExecutor` does, and hears what they read."""

from __future__ import annotations

import os
from dataclasses import replace

from buildnet.node.execute.cancel import CancelToken
from buildnet.node.execute.executor import (
    Execution,
    ExecutionRequest,
    OnOutput,
    WorkspaceExecutor,
)
from buildnet.node.execute.reads.tracer import Tracer
from buildnet.node.store.holds import BlobAccess


class TracingExecutor(WorkspaceExecutor):
    """See the module's text. Other commands' files are there, and nothing is kept from them: what
    is not declared is read all the same, and told."""

    def execute(
        self, request: ExecutionRequest, hold: BlobAccess, on_output: OnOutput, cancel: CancelToken
    ) -> Execution:
        """See :meth:`Executor.execute`.

        Raises:
            TraceError: what the command reads can't be traced here.
        """
        with Tracer() as tracer:
            traced = replace(request, wrap=tracer.wrap)
            execution = super().execute(traced, hold, on_output, cancel)
        if not execution.outcome.cancelled:
            tracer.require_heard()
        own = f"{os.path.realpath(self._work)}/"
        reads = tracer.reads
        reads.read = {path for path in reads.read if not path.startswith(own)}
        return replace(execution, reads=reads)
