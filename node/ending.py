"""A node that was told to stop stops: what takes long is told in the log, and in the end cut off.

What a node keeps survives being killed at any moment, so waiting for ever for something that hangs
would serve nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator

TOLD_AFTER_S = 10.0
"""After so long the log says what is waited for."""
CUT_OFF_AFTER_S = 30.0
"""After so long in all the process ends, with code 1."""

_log = logging.getLogger("buildnet.node")


class Ending:
    """Bounds how long the node takes to stop, on a thread of its own: it may be the loop that
    hangs. ``cut_off`` ends the process with an exit code."""

    def __init__(
        self,
        *,
        told_after_s: float = TOLD_AFTER_S,
        cut_off_after_s: float = CUT_OFF_AFTER_S,
        cut_off: Callable[[int], object] = os._exit,
    ) -> None:
        self._told_after_s = told_after_s
        self._left_s = cut_off_after_s - told_after_s
        self._cut_off = cut_off
        self._over = threading.Event()

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """The node stops from now on."""
        threading.Thread(target=self._watch, args=(loop,), name="ending", daemon=True).start()

    def over(self) -> None:
        """It has stopped."""
        self._over.set()

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._over.wait(self._told_after_s):
            return
        _log.warning("still stopping after %.0f s\n%s", self._told_after_s, stacks(loop))
        if self._over.wait(self._left_s):
            return
        _log.error("stopping took too long and is cut off: please report this\n%s", stacks(loop))
        self._cut_off(1)


def stacks(loop: asyncio.AbstractEventLoop) -> str:
    """Return what all threads and tasks of the process do now."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    parts = [
        f"thread {names.get(ident, ident)}:\n{''.join(traceback.format_stack(frame))}"
        for ident, frame in sys._current_frames().items()
        if ident != threading.get_ident()
    ]
    for task in asyncio.all_tasks(loop):
        parts.append(f"task {task.get_name()}:\n{''.join(_waits(task.get_coro()))}")
    return "\n".join(parts)


def _waits(coroutine: object) -> Iterator[str]:
    """Yield what a task does, from the outermost coroutine to what is waited for."""
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None)
        if frame is None:
            yield f"  {coroutine!r}\n"
            return
        yield f"  {frame.f_code.co_qualname}, line {frame.f_lineno}\n"
        coroutine = getattr(coroutine, "cr_await", None)
