"""Actions of other nodes that run here, on a lease, in ``strict``.

What such an action consists of comes from the node that asks and is checked against the action's
digest; programs and platform have to be those that its key names, so the result is the same as
there. The result is kept and signed here; the other node fetches it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable
from dataclasses import asdict, dataclass, field, replace

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.messages.kinds import Message
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.execute.executor import Execution, ExecutionRequest
from buildnet.node.execute.isolation import STRICT
from buildnet.node.execute.limits import limits_of
from buildnet.node.execute.mounts import Mount
from buildnet.node.execute.strict import StrictExecutor
from buildnet.node.execute.trees import UnpackedTrees
from buildnet.node.own_keys import OwnKeys
from buildnet.node.pool_results import shared_result
from buildnet.node.runner import Limits
from buildnet.node.sharing.enclosing import enclosed, small_blobs
from buildnet.node.sharing.guest_trees import GuestTrees, TreeRefusedError
from buildnet.node.sharing.orders import Order, Parts, WorkRefusedError, order_of
from buildnet.node.store import ActionRecord, Hold, Store
from buildnet.node.store.errors import missing_blob
from buildnet.node.timings import Laps
from buildnet.node.told_to_others import told_to_others
from buildnet.node.toolchain import Toolchain
from buildnet.node.tracing.spans import GuestRan
from buildnet.node.workers import Turn, Workers
from buildnet.pool.action import digest_of
from buildnet.pool.leases import Amount
from buildnet.pool.messages.results import WireDigest
from buildnet.pool.messages.work import (
    MAX_OUTPUT_BYTES,
    MAX_TEXT_BYTES,
    MAX_WORKS,
    WireOutcome,
    WirePart,
    WorkAlive,
    WorkAsk,
    WorkBegun,
    WorkDone,
    WorkOutput,
)
from buildnet.pool.reapi import remote_execution_pb2 as reapi
from buildnet.pool.requirements import Requirements
from buildnet.pool.result import encode_result, signed_message
from buildnet.pool.timeline import QUEUE, TRANSFER, UPLOAD, relative
from buildnet.pool.tree import DirectoryTree

_MAX_TEXTS = 64
_STEPS = 3
"""What tells of an action may have to be fetched, then its inputs; then it runs."""
_TEXT_BYTES = 1024
_log = logging.getLogger("buildnet.pool")

FetchAll = Callable[[Iterable[Digest], bytes], Awaitable[None]]
Say = Callable[[bytes, Message], None]


@dataclass(slots=True)
class _Running:
    """An action of ``holder`` at work. ``is_told``: the holder was told that it goes on."""

    holder: bytes
    lease: bytes
    amount: Amount
    token: CancelToken
    build: str = ""
    has_begun: bool = False
    laps: Laps = field(default_factory=Laps)
    is_told: bool = False

    # Each sets its own mark before it looks at the other's, for they are called on two threads: at
    # least one of them then finds that the holder has to hear of it.

    def begin(self) -> bool:
        """Take note that the command begins; return whether the holder is to hear of it now, since
        it may think that it waits."""
        self.has_begun = True
        return self.is_told

    def tell(self) -> bool:
        """Take note that the holder is told that it goes on; return whether it is to hear first
        that the command has begun."""
        is_first, self.is_told = not self.is_told, True
        return is_first and self.has_begun


@dataclass(slots=True)
class GuestWork:
    """Runs actions for others. ``executor`` gives the one for ``strict``, None: this host has none;
    ``tidy`` removes the stages of what has ended, and trees that are too many; ``trees`` are what
    is installed, ``trees_max_bytes`` bounds those that stay; ``say`` and ``spawn`` are of the
    cluster that this node is in now."""

    keys: OwnKeys
    store: Store
    workers: Workers
    toolchain: Toolchain
    limits: Limits
    executor: Callable[[], StrictExecutor | None]
    fetch_all: FetchAll
    tidy: Callable[[], Coroutine[None, None, None]]
    trees: UnpackedTrees
    trees_max_bytes: int | None
    ended: Callable[[GuestRan], None] = lambda ran: None
    """Called with each one that ended."""
    on_inputs: Callable[[Collection[Digest]], None] = lambda blobs: None
    """Called on any thread with what one reads, once all of it is here."""
    say: Say = field(init=False)
    spawn: Callable[[Callable[[], Coroutine[None, None, None]]], None] = field(init=False)
    _guest_trees: GuestTrees = field(init=False)
    _running: dict[bytes, _Running] = field(default_factory=dict)
    _untidy: bool = False

    def __post_init__(self) -> None:
        self._guest_trees = GuestTrees(
            self.trees, self._fetch, self.limits.action, self.trees_max_bytes
        )

    def start(
        self, holder: bytes, ask: WorkAsk, room: Digest, amount: Amount, build: str = ""
    ) -> None:
        """Begin an action of a ``build`` on a lease of ``holder``, with the ``amount`` that was
        reserved under ``room``."""
        if ask.work in self._running:
            return
        running = self._running[ask.work] = _Running(
            holder, ask.lease, amount, CancelToken(), build
        )
        self._untidy = True
        self.spawn(lambda: self._perform(ask, running, room))

    def cancel(self, holder: bytes, work: bytes) -> None:
        """End an action that ``holder`` does not need any more."""
        running = self._running.get(work)
        if running is not None and running.holder == holder:
            running.token.set()

    def end_lease(self, lease: bytes) -> None:
        """End what runs on a lease that is over."""
        for running in self._running.values():
            if running.lease == lease:
                running.token.set()

    def end_all(self) -> None:
        """End everything: the node stops, or changes clusters."""
        for running in self._running.values():
            running.token.set()

    def does(self, holder: bytes, work: bytes) -> bool:
        """Tell whether an action of ``holder`` runs."""
        running = self._running.get(work)
        return running is not None and running.holder == holder

    def is_busy(self, lease: bytes) -> bool:
        """Tell whether something runs on a lease."""
        return any(running.lease == lease for running in self._running.values())

    def tell_alive(self) -> None:
        """Tell all for whom something runs that it does; and that it has begun, of which nobody is
        told where a command ends before that."""
        works: dict[bytes, list[bytes]] = {}
        for work, running in self._running.items():
            works.setdefault(running.holder, []).append(work)
            if running.tell():
                self.say(running.holder, WorkBegun(work))
        for holder, some in works.items():
            for start in range(0, len(some), MAX_WORKS):
                self.say(holder, WorkAlive(tuple(some[start : start + MAX_WORKS])))

    def put_away(self) -> None:
        """Begin to remove what is left of what ran here; for when nothing is lent."""
        if self._untidy and not self._running:
            self._untidy = False
            self.spawn(self.tidy)

    async def _perform(self, ask: WorkAsk, running: _Running, room: Digest) -> None:
        began_ns = time.time_ns()
        try:
            with self.store.hold() as hold:
                done = await self._done(ask, running, room, hold)
        except BuildNetError as error:
            done = _refusal(ask, told_to_others(error, WorkRefusedError, TreeRefusedError))
        except Exception:  # what it says may name places of this host
            _log.exception("an action of another node could not be run")
            done = _refusal(ask, "it could not be run: see the log of the node that lends")
        finally:
            del self._running[ask.work]
        self.ended(GuestRan(running.build, ask.label, began_ns, time.time_ns(), _outcome(done)))
        self.say(running.holder, done)

    async def _done(self, ask: WorkAsk, running: _Running, room: Digest, hold: Hold) -> WorkDone:
        lacking: set[Digest] = set()
        for _ in range(_STEPS):
            if lacking:
                await self.fetch_all(lacking, running.holder)
                running.laps.lap(TRANSFER)
            found = await self._tried(ask, running, room, hold)
            if isinstance(found, WorkDone):
                return found
            lacking = found
        raise missing_blob(next(iter(lacking)))

    async def _tried(
        self, ask: WorkAsk, running: _Running, room: Digest, hold: Hold
    ) -> WorkDone | set[Digest]:
        """Run an action as far as all of it is here; return what is missing next, if anything."""
        if ask.dependencies is None:
            return await self._on_thread(ask, running, room, hold)
        found = await asyncio.to_thread(self._look_up, ask, hold)
        if not isinstance(found, Order):
            return found
        executor = await asyncio.to_thread(self._strict)
        tree, owner = ask.dependencies.digest, executor.owner
        async with self._guest_trees.shown(tree, running.holder, hold, owner) as mounts:
            return await self._on_thread(ask, running, room, hold, mounts)

    async def _fetch(self, blobs: Iterable[Digest], holder: bytes, hold: Hold) -> None:
        wanted = tuple(dict.fromkeys(blobs))
        await asyncio.to_thread(hold.add, wanted)
        lacking = await asyncio.to_thread(hold.missing, wanted)
        if lacking:
            await self.fetch_all(lacking, holder)

    async def _on_thread(
        self,
        ask: WorkAsk,
        running: _Running,
        room: Digest,
        hold: Hold,
        mounts: tuple[Mount, ...] = (),
    ) -> WorkDone | set[Digest]:
        """Look an action up and run it, all on one thread: going there and back takes longer than
        most of that."""
        done: list[WorkDone | set[Digest]] = []
        tell = self._teller(running.holder, ask)
        loop, begun = asyncio.get_running_loop(), WorkBegun(ask.work)

        def work(turn: Turn) -> None:
            running.laps.lap(QUEUE)
            executor, order = self._strict(), self._look_up(ask, hold)
            running.laps.lap(TRANSFER)
            if not isinstance(order, Order):
                done.append(order)
                return
            self.on_inputs(order.inputs.files())
            if running.begin():
                loop.call_soon_threadsafe(self.say, running.holder, begun)
            request = self._request(ask, order, mounts, running.amount, turn)
            execution = executor.execute(request, hold, tell, running.token)
            running.laps.take(execution.times)
            done.append(self._told(ask, order, execution, hold, running.laps))

        await self.workers.run_reserved(room, ask.action.digest, running.token, work)
        if not done:
            raise WorkRefusedError("it was cancelled before it began")
        return done[0]

    def _strict(self) -> StrictExecutor:
        executor = self.executor()
        if executor is None:
            raise WorkRefusedError("this host has no strict isolation")
        return executor

    def _look_up(self, ask: WorkAsk, hold: Hold) -> Order | WorkDone | set[Digest]:
        """Take in what came with the question. Return what is to run, with all its inputs; or its
        result, if that is here; or what is missing next. Blocks."""
        parts = Parts.of(ask, hold)
        order = order_of(ask, parts, self.toolchain)
        if not isinstance(order, Order):
            return order
        if not ask.again:
            known = hold.get_action(ask.action.digest, frozenset({STRICT}))
            if known is not None:
                return _found(ask, known, hold)
        return parts.keep(order.inputs.files()) or order

    def _request(
        self,
        ask: WorkAsk,
        order: Order,
        mounts: tuple[Mount, ...],
        amount: Amount,
        turn: Turn,
    ) -> ExecutionRequest:
        needed = Requirements(
            memory_bytes=ask.memory_bytes or amount.memory_bytes or None,
            disk_bytes=ask.disk_bytes or amount.disk_bytes or None,
            processes=ask.processes or None,
        )
        cores = turn.share.cores
        return ExecutionRequest(
            action=ask.action.digest,
            command=order.command,
            working_directory=order.working_directory,
            environment=order.environment,
            inputs=order.inputs,
            mounts=mounts,
            outputs=ask.outputs,
            reports=ask.reports,
            timeout_s=ask.timeout_ms / 1000 if ask.timeout_ms else self.limits.timeout_s,
            path_entries=ask.path_entries,
            path_variables={each.name: each.value for each in ask.path_variables},
            network=ask.network,
            output_limit_bytes=min(self.limits.output_bytes, ask.output_bytes),
            limits=limits_of(needed, self.limits.action, cores),
        )

    def _told(
        self, ask: WorkAsk, order: Order, execution: Execution, hold: Hold, laps: Laps
    ) -> WorkDone:
        """Keep a result, signed, and put how it went into a message. Blocks."""
        record = None
        if execution.outputs is not None:
            record = self._keep(ask, order, execution, execution.outputs, hold)
        parts = relative(laps.lap(UPLOAD), laps.began_ns)
        done = WorkDone(
            work=ask.work,
            refused=None,
            outcome=WireOutcome(**asdict(execution.outcome)),
            log=WireDigest.of(execution.log),
            result=None if record is None else shared_result(record, hold),
            missing_outputs=texts_that_fit(execution.missing_outputs),
            undeclared=texts_that_fit(execution.undeclared),
            hints=texts_that_fit(execution.hints),
            parts=tuple(WirePart(each.name, each.at_us, each.took_us) for each in parts),
            reports=_kept_reports(execution, hold),
        )
        return done if record is None else _with_blobs(done, record, hold)

    def _keep(
        self,
        ask: WorkAsk,
        order: Order,
        execution: Execution,
        outputs: DirectoryTree,
        hold: Hold,
    ) -> ActionRecord:
        encoded = encode_result(outputs, order.working_directory, ask.outputs, execution.log)
        for tree in encoded.trees:
            hold.put(tree)
        key, action = self.keys.current, ask.action.digest
        record = ActionRecord(
            action=action,
            result=encoded.encoded,
            isolation=STRICT,
            worker=key.public_key,
            signature=key.sign(signed_message(action, STRICT, encoded.encoded)),
            created_at=time.time(),
            duration_ms=execution.outcome.duration_ms,
            label=ask.label,
            references=encoded.references,
        )
        hold.put_action(record)
        return record

    def _teller(self, holder: bytes, ask: WorkAsk) -> Callable[[bytes], None]:
        """Return what passes a command's output on, from any thread, as far as it is wanted."""
        loop = asyncio.get_running_loop()
        left = ask.output_bytes

        def tell(data: bytes) -> None:
            nonlocal left
            wanted = data[:left]
            left -= len(wanted)
            for start in range(0, len(wanted), MAX_OUTPUT_BYTES):
                part = WorkOutput(ask.work, wanted[start : start + MAX_OUTPUT_BYTES])
                loop.call_soon_threadsafe(self.say, holder, part)

        return tell


def _found(ask: WorkAsk, record: ActionRecord, hold: Hold) -> WorkDone:
    """Return the answer to an action whose result is here already."""
    log = digest_of(reapi.ActionResult.FromString(record.result).stdout_digest)
    outcome = WireOutcome(0, None, False, False, round(record.duration_ms), 0, None, 0, 0, None)
    result = shared_result(record, hold)
    done = WorkDone(ask.work, None, outcome, WireDigest.of(log), result, (), (), ())
    return _with_blobs(done, record, hold)


def _kept_reports(execution: Execution, hold: Hold) -> WireDigest | None:
    """Store which reports of a command that failed there are. Blocks."""
    if execution.reports is None:
        return None
    tree = execution.reports.tree_message().SerializeToString(deterministic=True)
    return WireDigest.of(hold.put(tree))


def _with_blobs(done: WorkDone, record: ActionRecord, hold: Hold) -> WorkDone:
    """Enclose the small blobs of a result. Blocks."""
    size_bytes = len(done.encode())
    return replace(done, blobs=enclosed(small_blobs(record.references, hold), size_bytes))


def _outcome(done: WorkDone) -> str:
    if done.refused is not None:
        return "refused"
    return "failed" if done.result is None else "succeeded"


def _refusal(ask: WorkAsk, why: str) -> WorkDone:
    return WorkDone(ask.work, cut(why, _TEXT_BYTES), None, None, None, (), (), ())


def texts_that_fit(texts: Iterable[str]) -> tuple[str, ...]:
    """Return as many texts, and as much of each, as fit into a field of an answer."""
    told: list[str] = []
    left = MAX_TEXT_BYTES
    for text in texts:
        part = cut(text, _TEXT_BYTES)
        left -= len(part.encode())
        if left < 0 or len(told) == _MAX_TEXTS:
            break
        told.append(part)
    return tuple(told)


def cut(text: str, most_bytes: int) -> str:
    """Return as much of a text as fits into so many bytes of UTF-8."""
    return text.encode(errors="replace")[:most_bytes].decode(errors="ignore")
