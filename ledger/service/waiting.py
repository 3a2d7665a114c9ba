"""Who waits until an entry is sealed."""

from __future__ import annotations

import asyncio
import heapq
import itertools

from buildnet.ledger.entry import Chain
from buildnet.ledger.seal import Seal


class Waiting:
    """Waits, by chain and sequence."""

    def __init__(self) -> None:
        self.reach: dict[Chain, int] = {}
        """How far each chain is sealed, by seals on this node's disk."""
        self._heaps: dict[Chain, list[tuple[int, int, asyncio.Future[int]]]] = {}
        self._number = itertools.count()

    async def wait(self, chain: Chain, sequence: int, timeout_s: float) -> int:
        """Return the height of the seal that covers an entry, which is not sealed yet.

        Raises:
            TimeoutError: it is not sealed in time.
            BuildNetError: what :meth:`stop` was given.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[int] = loop.create_future()
        heap = self._heaps.setdefault(chain, [])
        heapq.heappush(heap, (sequence, next(self._number), future))
        patience = loop.call_later(timeout_s, _give_up, future)
        try:
            return await future
        finally:
            patience.cancel()

    def sealed(self, seal: Seal) -> None:
        """Tell who waits for what is under ``seal``."""
        for advance in seal.value.advances:
            self.reach[advance.chain] = advance.sequence
            heap = self._heaps.get(advance.chain)
            if heap is None:
                continue
            while heap and heap[0][0] <= advance.sequence:
                _, _, future = heapq.heappop(heap)
                if not future.done():
                    future.set_result(seal.height)
            if not heap:
                del self._heaps[advance.chain]

    def stop(self, error: Exception) -> None:
        """Tell everybody that they wait in vain."""
        for heap in self._heaps.values():
            for _, _, future in heap:
                if not future.done():
                    future.set_exception(error)
        self._heaps.clear()


def _give_up(future: asyncio.Future[int]) -> None:
    if not future.done():
        future.set_exception(TimeoutError())
