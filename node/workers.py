"""The node's runner threads: how many commands run at once, and each action only once at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from buildnet.mesh.digest import Digest
from buildnet.node.execute.cancel import CancelToken


class Workers:
    """Threads for work that blocks, shared by all builds. To be used on one event loop.

    Args:
        slots: how many pieces of work run at once.
    """

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._threads = ThreadPoolExecutor(slots, thread_name_prefix="runner")
        self._in_flight: dict[Digest, asyncio.Event] = {}
        self._running: set[Digest] = set()

    @property
    def running(self) -> int:
        """How many pieces of work run now; what waits for a thread does not count."""
        return len(self._running)

    def close(self) -> None:
        """Wait for what runs and end the threads."""
        self._threads.shutdown(wait=True)

    async def run(self, action: Digest, token: CancelToken, work: Callable[[bool], None]) -> None:
        """Run ``work`` on a thread and wait for its end, even if the caller is cancelled.

        It starts after any other work of the same action, and is told whether there was one. If the
        token is set before it starts, it does not; what runs has to look at the token itself.
        """
        loop = asyncio.get_running_loop()
        stopped = asyncio.Event()
        with token.calling(lambda: loop.call_soon_threadsafe(stopped.set)):
            waited = False
            while (other := self._in_flight.get(action)) is not None and not token.is_set():
                waited = True
                await either(other.wait(), stopped.wait())
        if token.is_set():
            return
        ended = self._in_flight[action] = asyncio.Event()
        try:
            thread = self._threads.submit(self._start, action, token, work, waited)
            with token.calling(thread.cancel):  # what waits for a thread need not wait on
                await _end_of(thread, token)
        finally:
            del self._in_flight[action]
            ended.set()

    def _start(
        self, action: Digest, token: CancelToken, work: Callable[[bool], None], waited: bool
    ) -> None:
        if token.is_set():
            return
        self._running.add(action)
        try:
            work(waited)
        finally:
            self._running.discard(action)


async def _end_of(thread: Future[None], token: CancelToken) -> None:
    future = asyncio.wrap_future(thread)
    try:
        await asyncio.shield(future)
    except asyncio.CancelledError:
        if thread.cancelled():
            return
        # The caller is cancelled, but a thread can't be: end its command and wait for it, so that
        # whatever the caller holds for it stays held.
        token.set()
        await asyncio.wait([future])
        raise


async def either(first: Coroutine[Any, Any, Any], second: Coroutine[Any, Any, Any]) -> bool:
    """Wait until one of two coroutines has ended, cancel the other, tell whether the first had."""
    tasks = [asyncio.ensure_future(first), asyncio.ensure_future(second)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return tasks[0].done()
    finally:
        for task in tasks:
            task.cancel()
