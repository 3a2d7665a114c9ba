"""The node's runner threads: each action only once at a time, and no more than the host has.

Who may start when, and on which cores, is decided by :mod:`buildnet.node.capacity`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from buildnet.mesh.digest import Digest
from buildnet.node.capacity import Capacity, Share
from buildnet.node.execute.cancel import CancelToken
from buildnet.pool.requirements import Grant, Requirements

_THREADS = 4096
"""At most; as many are begun as work at once."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A piece of work may start. ``waited``: after other work of the same action."""

    waited: bool
    share: Share


class Workers:
    """Threads for work that blocks, shared by all builds. To be used on one event loop.

    Args:
        capacity: what of the host there is to share.
        grant: the most that one piece of work may ask for; None: all of the capacity's cores.
    """

    def __init__(self, capacity: Capacity[Digest], grant: Grant | None = None) -> None:
        self._capacity = capacity
        self._grant = grant or Grant(capacity.cores_at_most)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="runner")
        self._in_flight: dict[Digest, asyncio.Future[None]] = {}
        self._turns: dict[Digest, asyncio.Future[Share]] = {}
        self._running: set[Digest] = set()
        self._reserved: dict[Digest, Share] = {}
        self._in_use: set[Digest] = set()
        self._leaving: set[Digest] = set()
        self.on_change: Callable[[], None] = lambda: None
        """Called when something else is free than before."""

    @property
    def slots(self) -> int:
        """How much may run at once."""
        return self._capacity.slots

    @property
    def grant(self) -> Grant:
        """The most that one piece of work may ask for."""
        return self._grant

    def change(
        self, slots: int, cores: Iterable[int] | None, memory_bytes: int | None, grant: Grant
    ) -> None:
        """Let the host have more or less from now on; what runs keeps what it has."""
        self._grant = grant
        self._give(self._capacity.change(slots, cores, memory_bytes))

    @property
    def running(self) -> int:
        """How many pieces of work run now; what waits for its turn does not count."""
        return len(self._running)

    @property
    def slots_in_use(self) -> int:
        """How many slots they take."""
        return self._capacity.slots_in_use

    def close(self) -> None:
        """Wait for what runs and end the threads."""
        self._threads.shutdown(wait=True)

    def reserve(self, key: Digest, needed: Requirements) -> bool:
        """Keep something free for what comes later under ``key``, at once or not at all; nothing
        that is more than is granted."""
        share = self._capacity.reserve(key, needed) if self._grant.allows(needed) else None
        if share is not None:
            self._reserved[key] = share
        return share is not None

    def let_go(self, key: Digest) -> None:
        """Give back what was reserved, once no work runs with it."""
        if key in self._in_use:
            self._leaving.add(key)
            return
        self._leaving.discard(key)
        del self._reserved[key]
        self._give(self._capacity.end(key))

    @property
    def free(self) -> tuple[int, int | None]:
        """Slots that nobody has or waits for, and memory that nobody has reserved; None: memory is
        not counted."""
        return self._capacity.free_slots, self._capacity.free_memory_bytes

    @property
    def free_disk_bytes(self) -> int | None:
        """Disk that nobody has reserved; None: it is not counted."""
        return self._capacity.free_disk_bytes

    @property
    def lacking(self) -> tuple[int, int, int]:
        """Slots, bytes of memory and of disk that work waits for."""
        return self._capacity.lacking

    async def run_reserved(
        self, key: Digest, action: Digest, token: CancelToken, work: Callable[[Turn], None]
    ) -> None:
        """Run ``work`` on a thread with what was reserved under ``key``, after any other work of
        the same action; not at all if that was given back meanwhile. See :meth:`run`."""
        self._in_use.add(key)
        try:
            await self._run(action, token, work, lambda: self._reserved.get(key))
        finally:
            self._in_use.discard(key)
            if key in self._leaving:
                self.let_go(key)

    async def run(
        self,
        action: Digest,
        token: CancelToken,
        work: Callable[[Turn], None],
        needed: Requirements | None = None,
        wished: Collection[int] = (),
    ) -> None:
        """Run ``work`` on a thread and wait for its end, even if the caller is cancelled.

        It starts after any other work of the same action, and once the host has what it needs. If
        the token is set before it starts, it does not; what runs has to look at the token itself.
        ``wished``: the CPUs that it is to run on, as far as they can be had.

        Raises:
            RequirementsError: it needs more than is granted.
        """
        needed = needed or Requirements()
        self._grant.check(needed)
        await self._run(action, token, work, needed, wished)

    async def _run(
        self,
        action: Digest,
        token: CancelToken,
        work: Callable[[Turn], None],
        needed: Requirements | Callable[[], Share | None],
        wished: Collection[int] = (),
    ) -> None:
        loop = asyncio.get_running_loop()
        stopped = loop.create_future()
        with token.calling(lambda: loop.call_soon_threadsafe(_settle, stopped)):
            waited = False
            while (other := self._in_flight.get(action)) is not None and not token.is_set():
                waited = True
                await asyncio.wait([other, stopped], return_when=asyncio.FIRST_COMPLETED)
            if token.is_set():
                return
            ended = self._in_flight[action] = loop.create_future()
            try:
                share = await self._share(action, needed, wished, stopped)
                if share is not None:
                    await self._on_thread(action, token, work, Turn(waited, share))
            finally:
                if self._turns.pop(action, None) is not None:
                    self._give(self._capacity.end(action))
                del self._in_flight[action]
                _settle(ended)

    async def _share(
        self,
        action: Digest,
        needed: Requirements | Callable[[], Share | None],
        wished: Collection[int],
        stopped: asyncio.Future[None],
    ) -> Share | None:
        """Wait for a turn; None: it was stopped before it came."""
        if not isinstance(needed, Requirements):
            return needed()
        turn = self._turns[action] = asyncio.get_running_loop().create_future()
        self._give(self._capacity.ask(action, needed, wished))
        if not turn.done():
            await asyncio.wait([turn, stopped], return_when=asyncio.FIRST_COMPLETED)
        return turn.result() if turn.done() else None

    def _give(self, shares: Iterable[tuple[Digest, Share]]) -> None:
        for action, share in shares:
            self._turns[action].set_result(share)
        self.on_change()

    async def _on_thread(
        self, action: Digest, token: CancelToken, work: Callable[[Turn], None], turn: Turn
    ) -> None:
        """Do the work on a thread and wait for its end, even if the caller is cancelled."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[BaseException | None] = loop.create_future()

        def run() -> None:
            error: BaseException | None = None
            self._running.add(action)
            try:
                if not token.is_set():
                    work(turn)
            except BaseException as caught:
                error = caught
            finally:
                self._running.discard(action)
            loop.call_soon_threadsafe(ended.set_result, error)

        self._threads.submit(run)
        try:
            await asyncio.wait([ended])
        except asyncio.CancelledError:
            # A thread can't be cancelled: end its command and wait for it, so that whatever the
            # caller holds for it stays held.
            token.set()
            await asyncio.wait([ended])
            raise
        error = ended.result()
        if error is not None:
            raise error


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def either(first: Coroutine[Any, Any, Any], second: Coroutine[Any, Any, Any]) -> bool:
    """Wait until one of two coroutines has ended, cancel the other, tell whether the first had."""
    tasks = [asyncio.ensure_future(first), asyncio.ensure_future(second)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return tasks[0].done()
    finally:
        for task in tasks:
            task.cancel()
