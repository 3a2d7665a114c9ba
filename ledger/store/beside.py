"""Checks signatures in threads beside the reading of what is signed.

A signature takes more time than all the rest of an entry, and the check lets go of the
interpreter's lock. So what was read waits, a few slices of it, and is told in its order.
"""

from __future__ import annotations

import os
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
AHEAD = 3
"""Slices that are read before the first of them is told."""
MAX_THREADS = 4


class Beside:
    """Threads for one check; :meth:`close` ends them."""

    def __init__(self) -> None:
        self._threads = min(MAX_THREADS, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(self._threads, "ledger-verify")

    def close(self) -> None:
        """End, whatever is still waiting."""
        self._pool.shutdown(cancel_futures=True)

    def judged(
        self, slices: Iterator[list[T]], judge: Callable[[T], bool]
    ) -> Iterator[list[tuple[T, bool]]]:
        """Iterate over ``slices`` in their order, each item with what ``judge`` says of it in a
        thread. If reading fails, what was read before is told first.

        Raises:
            sqlite3.DatabaseError: ``slices`` did.
        """
        waiting: deque[tuple[list[T], list[Future[list[bool]]]]] = deque()
        failed: sqlite3.DatabaseError | None = None
        items: list[T] | None = []
        while items is not None or waiting:
            try:
                items = next(slices, None)
            except sqlite3.DatabaseError as error:
                items, failed = None, error
            if items is not None:
                waiting.append((items, self._begin(items, judge)))
            while waiting and (items is None or len(waiting) > AHEAD):
                told, futures = waiting.popleft()
                yield list(
                    zip(told, (one for each in futures for one in each.result()), strict=True)
                )
        if failed is not None:
            raise failed

    def _begin(self, items: Sequence[T], judge: Callable[[T], bool]) -> list[Future[list[bool]]]:
        def run(part: Sequence[T]) -> list[bool]:
            return [judge(one) for one in part]

        size = max(1, -(-len(items) // self._threads))
        return [self._pool.submit(run, items[at : at + size]) for at in range(0, len(items), size)]
