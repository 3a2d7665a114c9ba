"""Running an action on another node, as if it ran here: an executor like the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.execute.executor import Execution, ExecutionRequest, OnOutput
from buildnet.node.execute.hints import HINTS_AT_MOST, LOG_TAIL_BYTES, hints_of_failure
from buildnet.node.execute.isolation import STRICT
from buildnet.node.execute.launcher.places import BUILD
from buildnet.node.execute.outcome import ProcessOutcome
from buildnet.node.pool_results import Offer, PoolResults, Wanted
from buildnet.node.sharing.borrower import Borrowed, Borrower, LostHostError
from buildnet.node.store import Hold
from buildnet.pool.action import Action
from buildnet.pool.messages.results import WireDigest
from buildnet.pool.messages.work import Setting, WireOutcome, WorkAsk, WorkDone
from buildnet.pool.requirements import Requirements


class UnfitHostError(BuildNetError):
    """A host can't run an action: another tool, say. It runs elsewhere."""

    code = "HOST_UNFIT"


@dataclass(frozen=True, slots=True)
class RemoteExecutor:
    """Runs one action on the lease ``lease``. ``installed`` is the ``Tree`` message of the packages
    that it sees, None: it sees none; ``tools`` are those that it declares; ``again``: it
    runs even if its result is there."""

    borrower: Borrower
    results: PoolResults
    fetch_all: Callable[[Iterable[Digest], bytes], Awaitable[None]]
    lease: Borrowed
    action: Action
    installed: Digest | None
    tools: tuple[str, ...]
    requirements: Requirements
    label: str
    again: bool
    loop: asyncio.AbstractEventLoop

    @property
    def isolation(self) -> str:
        """The only level in which nodes run actions of others."""
        return STRICT

    def execute(
        self, request: ExecutionRequest, hold: Hold, on_output: OnOutput, cancel: CancelToken
    ) -> Execution:
        """See :meth:`Executor.execute`; the result is in this node's action cache already.

        Raises:
            LostHostError: nobody knows how it went.
            UnfitHostError: it can't run there.
        """
        tree = self.action.spec.inputs.tree_message().SerializeToString(deterministic=True)
        command = hold.put(self.action.command_encoded)
        hold.put(self.action.encoded)
        inputs = hold.put(tree)

        def ask(work: bytes) -> WorkAsk:
            return self._ask(work, request, command, inputs)

        running = self._run(request, ask, hold, on_output, cancel)
        return asyncio.run_coroutine_threadsafe(running, self.loop).result()

    def _ask(
        self, work: bytes, request: ExecutionRequest, command: Digest, inputs: Digest
    ) -> WorkAsk:
        needed = self.requirements
        return WorkAsk(
            work=work,
            lease=self.lease.id,
            action=WireDigest.of(self.action.digest),
            command=WireDigest.of(command),
            inputs=WireDigest.of(inputs),
            dependencies=None if self.installed is None else WireDigest.of(self.installed),
            label=self.label[:1024],
            outputs=request.outputs,
            tools=self.tools,
            path_entries=request.path_entries,
            path_variables=tuple(
                Setting(name, value) for name, value in request.path_variables.items()
            ),
            network=request.network,
            again=self.again,
            timeout_ms=round((needed.timeout_s or 0) * 1000),
            memory_bytes=needed.memory_bytes or 0,
            disk_bytes=needed.disk_bytes or 0,
            processes=needed.processes or 0,
        )

    async def _run(
        self,
        request: ExecutionRequest,
        ask: Callable[[bytes], WorkAsk],
        hold: Hold,
        on_output: OnOutput,
        cancel: CancelToken,
    ) -> Execution:
        done = await self.borrower.run(self.lease, ask, on_output, cancel)
        if done.refused is not None or done.outcome is None or done.log is None:
            raise UnfitHostError(done.refused or "it does not say how the command ended")
        log = done.log.digest
        outputs = None
        if done.result is not None:
            wanted = Wanted(
                Offer(done.result, self.lease.owner), request.working_directory, request.outputs
            )
            taken = await self.results.take_in([wanted], hold)
            if self.action.digest not in taken:
                raise LostHostError("its result could not be fetched, or is none of this action")
            outputs = taken[self.action.digest].outputs
        else:
            await self._fetch_log(log, hold)
        hints = dict.fromkeys((*done.hints, *await asyncio.to_thread(_hints, request, done, hold)))
        return Execution(
            outcome=_outcome(done.outcome),
            log=log,
            outputs=outputs,
            missing_outputs=done.missing_outputs,
            undeclared=done.undeclared,
            hints=tuple(hints)[:HINTS_AT_MOST],
            kept=True,
        )

    async def _fetch_log(self, log: Digest, hold: Hold) -> None:
        try:
            await asyncio.to_thread(hold.add, (log,))
            if await asyncio.to_thread(hold.missing, (log,)):
                await self.fetch_all((log,), self.lease.owner)
        except BuildNetError as error:
            raise LostHostError("its output could not be fetched", cause=error.message) from error


def _hints(request: ExecutionRequest, done: WorkDone, hold: Hold) -> tuple[str, ...]:
    """Return what only the node that has the workspace can tell of a failure. Blocks."""
    said, log = done.outcome, done.log
    if said is None or log is None or not said.exit_code or said.timed_out or said.cancelled:
        return ()
    tail = hold.get(log.digest)[-LOG_TAIL_BYTES:].decode(errors="replace")
    return hints_of_failure(
        tail,
        said.exit_code,
        request.inputs,
        request.working_directory,
        request.workspace,
        BUILD,
        request.outputs,
    )


def _outcome(said: WireOutcome) -> ProcessOutcome:
    return ProcessOutcome(
        exit_code=said.exit_code,
        signal=said.signal,
        timed_out=said.timed_out,
        cancelled=said.cancelled,
        duration_ms=said.duration_ms,
        cpu_ms=said.cpu_ms,
        max_rss_bytes=said.max_rss_bytes,
        left_behind=said.left_behind,
        output_truncated_bytes=said.output_truncated_bytes,
        exceeded=said.exceeded,
    )
