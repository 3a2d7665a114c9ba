"""Results on a node for artifacts: a build's configuration names it, and the build's results are
kept there as well, so that they are found when driver and workers are gone.

Beside the build, which does not wait for it: at its end for :data:`PATIENCE_S` at most.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.events import LinkDown, Note, Received
from buildnet.mesh.identity import node_id_of
from buildnet.mesh.service.cluster import Cluster
from buildnet.mesh.service.guest import Guest, GuestEvent
from buildnet.mesh.wire import WireError
from buildnet.node.execute.isolation import STRICT
from buildnet.node.offered_results import Offer, Wanted
from buildnet.node.pool_results import PoolResults, may_ask, shared_result
from buildnet.node.store import Store
from buildnet.node.told_to_others import told_to_others
from buildnet.pool.messages.keeping import ResultKeep, ResultKept
from buildnet.pool.messages.work import MAX_MESSAGE_BYTES
from buildnet.pool.quantity import GIB
from buildnet.pool.workspace import Task

PATIENCE_S = 30.0
"""So long the end of a build waits for what is not kept yet."""
PAUSES_S = (1.0, 5.0)
"""Before a result is sent again that was not kept."""
_ANSWER_S = 120.0
"""So long who is to keep a result may fetch."""
_AT_ONCE = 4
"""Results that one build sends at once."""
_MOST_OF_ONE = 32
"""Results of one member that are fetched at once; more are refused, and sent again."""
_log = logging.getLogger("buildnet.pool")


class NotKeptError(BuildNetError):
    """A node did not keep a result."""

    code = "RESULT_NOT_KEPT"


class Artifacts:
    """One node's side of it, as who asks and as who keeps. :meth:`guest` is for the mesh;
    ``refusal``: why this node keeps nothing for others, None: it does."""

    def __init__(
        self, store: Store, results: PoolResults, refusal: Callable[[], str | None]
    ) -> None:
        self._store = store
        self._results = results
        self._refusal = refusal
        self._cluster: Cluster | None = None
        self._asked: dict[bytes, tuple[bytes, asyncio.Future[str | None]]] = {}
        self._fetching: dict[bytes, int] = {}

    @asynccontextmanager
    async def guest(self, cluster: Cluster) -> AsyncIterator[Guest]:
        """Take part in a cluster until the context ends."""
        self._cluster = cluster
        try:
            yield self
        finally:
            self._cluster = None
            for _, answer in self._asked.values():
                _settle(answer, "this node has left the cluster")

    def take(self, event: GuestEvent) -> None:
        """Take note of a message, or of a peer that is gone."""
        match event:
            case Received(sender, ResultKeep() as ask):
                self._keep(sender, ask)
            case Received(sender, ResultKept(request, problem)):
                asked = self._asked.get(request)
                if asked is not None and asked[0] == sender:
                    _settle(asked[1], problem)
            case LinkDown(peer):
                for keeper, answer in self._asked.values():
                    if keeper == peer:
                        _settle(answer, "the link was lost")

    # --- asking --------------------------------------------------------------------------------

    def find(self, node: str) -> bytes | None:
        """Return the key of the member with this name or id; None: there is none."""
        members = {} if self._cluster is None else self._cluster.local.members.members
        for key, member in members.items():
            if node in (member.name, node_id_of(key)):
                return key
        return None

    async def size_of(self, action: Digest) -> int:
        """Return how many bytes the blobs of a result in this node's cache have; 0: it has none."""
        with self._store.hold() as hold:
            record = await asyncio.to_thread(hold.get_action, action, frozenset({STRICT}))
            return 0 if record is None else sum(one.size_bytes for one in set(record.references))

    async def send(self, keeper: bytes, action: Digest, task: Task) -> None:
        """Have a result of this node's cache kept by another node.

        Raises:
            NotKeptError: it is not.
        """
        cluster = self._cluster
        if cluster is None or keeper not in cluster.local.links:
            raise NotKeptError("there is no link to it")
        with self._store.hold() as hold:
            accepted = frozenset({STRICT})
            record = await asyncio.to_thread(hold.get_action, action, accepted)
            if record is None:
                raise NotKeptError("the result is not here any more")
            result = await asyncio.to_thread(shared_result, record, hold)
            ask = ResultKeep(os.urandom(16), result, task.path, task.outputs)
            if len(ask.encode()) > MAX_MESSAGE_BYTES and result.result is not None:
                await asyncio.to_thread(hold.put, result.result)
                ask = replace(ask, result=replace(result, result=None))
            _check_fits(ask)
            answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
            self._asked[ask.request] = keeper, answer
            try:
                cluster.say(keeper, ask)
                async with asyncio.timeout(_ANSWER_S):
                    problem = await answer
            except TimeoutError:
                problem = "it does not answer"
            finally:
                del self._asked[ask.request]
        if problem is not None:
            raise NotKeptError(problem)

    # --- keeping -------------------------------------------------------------------------------

    def _keep(self, sender: bytes, ask: ResultKeep) -> None:
        cluster = self._cluster
        if cluster is None or not may_ask(cluster.local.members, sender):
            return
        if (why := self._refusal()) is not None:
            cluster.say(sender, ResultKept(ask.request, why))
            return
        if self._fetching.get(sender, 0) >= _MOST_OF_ONE:
            cluster.note(Note("too many questions", sender, "ResultKeep"))
            cluster.say(sender, ResultKept(ask.request, "it has enough to do"))
            return
        self._fetching[sender] = self._fetching.get(sender, 0) + 1
        cluster.spawn(lambda: self._fetch(cluster, sender, ask))

    async def _fetch(self, cluster: Cluster, sender: bytes, ask: ResultKeep) -> None:
        problem: str | None = None
        try:
            with self._store.hold() as hold:
                known = await asyncio.to_thread(
                    hold.get_action, ask.result.action.digest, frozenset({STRICT})
                )
                if known is None:
                    offer = Offer(ask.result, sender)
                    wanted = Wanted(offer, ask.working_directory, ask.declared)
                    taken = await self._results.take_one(wanted, hold)
                    await asyncio.to_thread(hold.put_action, taken.record)
        except BuildNetError as error:
            problem = told_to_others(error)[:500]
        finally:
            self._fetching[sender] -= 1
            if not self._fetching[sender]:
                del self._fetching[sender]
        cluster.say(sender, ResultKept(ask.request, problem))


@dataclass(slots=True)
class Keeper:
    """One build's results on their way to the node ``name``, of ``most_bytes`` together at most (0:
    no bound). ``on_notice`` tells people what could not be kept there. :meth:`run` is to be a task
    of the build."""

    artifacts: Artifacts
    name: str
    on_notice: Callable[[str], None] = lambda text: None
    most_bytes: int = 0
    _sent_bytes: int = 0
    _waiting: asyncio.Queue[tuple[Digest, Task] | None] = field(default_factory=asyncio.Queue)
    _failed: dict[str, list[str]] = field(default_factory=dict)
    _give_up_at: float | None = None

    def put(self, action: Digest, task: Task) -> None:
        """Have a result kept; returns at once."""
        self._waiting.put_nowait((action, task))

    def close(self, patience_s: float = PATIENCE_S) -> None:
        """Take note that no more come; so long what is not kept yet is waited for."""
        self._give_up_at = time.monotonic() + patience_s
        for _ in range(_AT_ONCE):
            self._waiting.put_nowait(None)

    async def run(self) -> None:
        """Send results until all are kept or given up."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(self._send_some())
        for why, names in self._failed.items():
            some = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            self.on_notice(f"not kept on {self.name}: {some}: {why}")

    async def _send_some(self) -> None:
        while (found := await self._waiting.get()) is not None:
            action, task = found
            why = await self._send_again(action, task)
            if why is not None:
                _log.info("%s is not kept on %s: %s", task.id, self.name, why)
                self._failed.setdefault(why, []).append(str(task.id))

    async def _send_again(self, action: Digest, task: Task) -> str | None:
        """Send a result, several times if need be; return why it is not kept, None: it is."""
        try:
            size = await self.artifacts.size_of(action) if self.most_bytes else 0
        except BuildNetError as error:
            return error.message
        if self._sent_bytes + size > self.most_bytes:
            return f"the configuration gives {self.most_bytes / GIB:.4g} GiB there (size_gb)"
        self._sent_bytes += size  # before it is on its way: others are sent meanwhile
        why = await self._tried(action, task)
        if why is not None:
            self._sent_bytes -= size
        return why

    async def _tried(self, action: Digest, task: Task) -> str | None:
        for pause_s in (*PAUSES_S, None):
            try:
                await self._send(action, task)
            except BuildNetError as error:  # a full store, say: the build goes on all the same
                if pause_s is None or self._left_s() <= pause_s:
                    return error.message
                await asyncio.sleep(pause_s)
            else:
                return None
        return None

    async def _send(self, action: Digest, task: Task) -> None:
        if self._left_s() <= 0:
            raise NotKeptError("it took too long")
        keeper = self.artifacts.find(self.name)
        if keeper is None:
            raise NotKeptError("there is no such node")
        sending = asyncio.ensure_future(self.artifacts.send(keeper, action, task))
        try:
            # The end of the build may come meanwhile, and with it an end of patience.
            while not (await asyncio.wait([sending], timeout=0.5))[0]:
                if self._left_s() <= 0:
                    raise NotKeptError("it took too long")
            await sending
        finally:
            sending.cancel()

    def _left_s(self) -> float:
        return float("inf") if self._give_up_at is None else self._give_up_at - time.monotonic()


def _check_fits(ask: ResultKeep) -> None:
    """See that a question can be asked in one message.

    Raises:
        NotKeptError: it can't.
    """
    try:
        encoded = ask.encode()
        ResultKeep.decode(encoded)
    except WireError as error:
        raise NotKeptError("it has too many outputs for a message") from error
    if len(encoded) > MAX_MESSAGE_BYTES:
        raise NotKeptError("it has too many outputs for a message")


def _settle(answer: asyncio.Future[str | None], problem: str | None) -> None:
    if not answer.done():
        answer.set_result(problem)
