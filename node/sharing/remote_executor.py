"""Running an action on another node, as if it ran here: an executor like the others."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from google.protobuf.message import DecodeError

from buildnet.mesh.bulk.protocol import FetchRefusedError, WrongBytesError
from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.wire import WireError
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.execute.executor import (
    MOST_REPORTS,
    REPORTS_MAX_BYTES,
    Execution,
    ExecutionRequest,
    OnOutput,
)
from buildnet.node.execute.hints import HINTS_AT_MOST, LOG_TAIL_BYTES, hints_of_failure
from buildnet.node.execute.isolation import STRICT
from buildnet.node.execute.launcher.places import BUILD
from buildnet.node.execute.outcome import ProcessOutcome
from buildnet.node.offered_results import Offer, ResultRefusedError, Wanted
from buildnet.node.pool_results import PoolResults, TakenResult
from buildnet.node.sharing.borrower import Borrowed, Borrower
from buildnet.node.sharing.enclosing import enclosed, small_blobs
from buildnet.node.sharing.errands import LostHostError, WrongHostError
from buildnet.node.store import Hold
from buildnet.node.timings import Laps
from buildnet.pool.action import Action
from buildnet.pool.messages.results import WireDigest
from buildnet.pool.messages.work import (
    MAX_MESSAGE_BYTES,
    Setting,
    WireOutcome,
    WorkAsk,
    WorkDone,
)
from buildnet.pool.reapi import remote_execution_pb2 as reapi
from buildnet.pool.requirements import Requirements
from buildnet.pool.timeline import TRANSFER, UPLOAD, Part, anchored
from buildnet.pool.tree import DirectoryTree

_Found = TypeVar("_Found")
_REPORTS_TREE_BYTES = 256 << 10
_log = logging.getLogger("buildnet.pool")
_LEFT_OUT_BYTES = 256
"""Of a log, beside what it keeps: the line that says how much it left out."""


class OnlyHereError(BuildNetError):
    """An action can't be asked for elsewhere; it runs on this host."""

    code = "ONLY_HERE"


class UnfitHostError(BuildNetError):
    """A host can't run an action: another tool, say. It runs elsewhere."""

    code = "HOST_UNFIT"


@dataclass(frozen=True, slots=True)
class RemoteExecutor:
    """Runs one action on the lease ``lease``. ``installed`` is the ``Tree`` message of the packages
    that it sees, None: it sees none; ``tools`` are those that it declares; ``again``: it runs even
    if its result is there; ``on_result`` is called on ``loop`` once its owner has told one."""

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
    on_result: Callable[[], None] = lambda: None

    @property
    def isolation(self) -> str:
        """The only level in which nodes run actions of others."""
        return STRICT

    def execute(
        self, request: ExecutionRequest, hold: Hold, on_output: OnOutput, cancel: CancelToken
    ) -> Execution:
        """See :meth:`Executor.execute`. Nothing is in this node's action cache yet: another run of
        the command may count instead.

        Raises:
            LostHostError: nobody knows how it went.
            UnfitHostError: it can't run there.
            WrongHostError: what came back can't be true.
            OnlyHereError: the question does not fit into a message.
        """
        laps = Laps()
        question = self._question(request, hold)
        laps.lap(TRANSFER)
        done = self._on_loop(self._asked(question, on_output, cancel))
        parts = (Part(each.name, each.at_us, each.took_us) for each in done.parts)
        answered_ns = time.monotonic_ns()
        laps.times += anchored(parts, laps.last_ns, answered_ns)
        laps.last_ns = answered_ns
        execution = self._execution(request, done, hold)
        return replace(execution, times=laps.lap(UPLOAD))

    async def _asked(self, question: WorkAsk, on_output: OnOutput, cancel: CancelToken) -> WorkDone:
        def ask(work: bytes) -> WorkAsk:
            return replace(question, work=work)

        done = await self.borrower.run(self.lease, ask, on_output, cancel)
        if done.result is not None:  # else the host is judged first
            self.on_result()
        return done

    def _on_loop(self, work: Coroutine[Any, Any, _Found]) -> _Found:
        """Have something done on the event loop; wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    def _question(self, request: ExecutionRequest, hold: Hold) -> WorkAsk:
        """Return what the owner is asked, but for the id of the work. Blocks."""
        action = self.action
        tree = action.spec.inputs.tree_message().SerializeToString(deterministic=True)
        own = (action.encoded, action.command_encoded, tree)
        ask = self._ask(request, Digest.of(action.command_encoded), Digest.of(tree))
        size_bytes = _checked_size(ask)
        files = small_blobs(action.spec.inputs.files(), hold)
        blobs = enclosed(itertools.chain(own, files), size_bytes)
        for blob in own:
            if blob not in blobs:
                hold.put(blob)
        return replace(ask, blobs=blobs)

    def _ask(self, request: ExecutionRequest, command: Digest, inputs: Digest) -> WorkAsk:
        needed = self.requirements
        return WorkAsk(
            work=bytes(16),
            lease=self.lease.id,
            action=WireDigest.of(self.action.digest),
            command=WireDigest.of(command),
            inputs=WireDigest.of(inputs),
            dependencies=None if self.installed is None else WireDigest.of(self.installed),
            label=self.label[:1024],
            outputs=request.outputs,
            reports=request.reports,
            tools=self.tools,
            path_entries=request.path_entries,
            path_variables=tuple(
                Setting(name, value) for name, value in request.path_variables.items()
            ),
            network=request.network,
            again=self.again,
            timeout_ms=round((request.timeout_s or 0) * 1000),
            output_bytes=request.output_limit_bytes,
            memory_bytes=needed.memory_bytes or 0,
            disk_bytes=needed.disk_bytes or 0,
            processes=needed.processes or 0,
        )

    # What came back is taken in by this thread, which has nothing else to do.

    def _execution(self, request: ExecutionRequest, done: WorkDone, hold: Hold) -> Execution:
        """Take in what came of an action. Blocks."""
        if done.refused is not None or done.outcome is None or done.log is None:
            raise UnfitHostError(done.refused or "it does not say how the command ended")
        log = done.log.digest
        taken: TakenResult | None = None
        reports: DirectoryTree | None = None
        if done.result is not None:
            wanted = Wanted(
                Offer(done.result, self.lease.owner), request.working_directory, request.outputs
            )
            taken = self._take(wanted, log, hold, done.blobs)
        else:
            if done.outcome.exit_code == 0 and not done.missing_outputs:
                raise WrongHostError("it tells of a success without a result")
            self._fetch_log(log, request, hold)
            if request.reports and done.reports is not None:
                reports = self._fetched_reports(done.reports.digest, hold)
        hints = dict.fromkeys((*done.hints, *_hints(request, done, hold)))
        return Execution(
            outcome=_outcome(done.outcome),
            log=log,
            outputs=None if taken is None else taken.said.outputs,
            missing_outputs=done.missing_outputs,
            undeclared=done.undeclared,
            hints=tuple(hints)[:HINTS_AT_MOST],
            record=None if taken is None else taken.record,
            reports=reports,
        )

    def _take(
        self, wanted: Wanted, log: Digest, hold: Hold, blobs: tuple[bytes, ...]
    ) -> TakenResult:
        if wanted.action != self.action.digest:
            raise WrongHostError("it answered with the result of another action")
        try:
            taken = self.results.take_here(wanted, hold, blobs)
            if not isinstance(taken, TakenResult):
                taken = self._on_loop(self.results.take_one(wanted, hold))
        except (ResultRefusedError, WrongBytesError) as error:
            why = error.cause or error.message
            raise WrongHostError("its result can't be used", cause=why) from error
        except FetchRefusedError as error:
            why = "it lacks what its result consists of"
            raise WrongHostError(why, cause=error.message) from error
        except BuildNetError as error:
            raise LostHostError("its result can't be fetched", cause=error.message) from error
        if taken.said.log != log:
            raise WrongHostError("its result has another output than it tells")
        return taken

    def _fetch_log(self, log: Digest, request: ExecutionRequest, hold: Hold) -> None:
        if log.size_bytes > request.output_limit_bytes + _LEFT_OUT_BYTES:
            raise WrongHostError("it kept more output than was asked for")
        try:
            if hold.missing((log,)):
                self._on_loop(self._fetch((log,)))
        except (FetchRefusedError, WrongBytesError) as error:
            raise WrongHostError("it lacks the output of the command") from error
        except BuildNetError as error:
            raise LostHostError("its output could not be fetched", cause=error.message) from error

    def _fetched_reports(self, tree: Digest, hold: Hold) -> DirectoryTree | None:
        """Fetch what a command reports that failed; None: that is not to be had. Blocks."""
        if tree.size_bytes > _REPORTS_TREE_BYTES:
            raise WrongHostError("it tells of more reports than was asked for")
        try:
            if hold.missing((tree,)):
                self._on_loop(self._fetch((tree,)))
            found = DirectoryTree.from_tree_message(reapi.Tree.FromString(hold.get(tree)))
            files = dict.fromkeys(found.files())
            size_bytes = sum(file.size_bytes for file in files)
            if len(files) > MOST_REPORTS or size_bytes > REPORTS_MAX_BYTES:
                raise WrongHostError("it tells of more reports than was asked for")
            lacking = hold.missing(files)
            if lacking:
                self._on_loop(self._fetch(lacking))
        except (DecodeError, ValueError, WrongBytesError) as error:
            raise WrongHostError("its reports can't be read", cause=str(error)) from error
        except WrongHostError:
            raise
        except BuildNetError as error:
            _log.info("the reports of %s can't be fetched: %s", self.label, error.message)
            return None
        return found

    async def _fetch(self, blobs: Iterable[Digest]) -> None:
        await self.fetch_all(blobs, self.lease.owner)


def _checked_size(ask: WorkAsk) -> int:
    """Return how many bytes a question has."""
    try:
        encoded = ask.encode()
        WorkAsk.decode(encoded)
    except (WireError, ValueError) as error:
        raise OnlyHereError("it can't be asked for in one message", cause=str(error)) from error
    if len(encoded) > MAX_MESSAGE_BYTES:
        raise OnlyHereError("it can't be asked for in one message", cause=f"{len(encoded)} bytes")
    return len(encoded)


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
