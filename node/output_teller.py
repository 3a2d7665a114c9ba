"""A running command's output on its way from a runner thread to those who watch the build."""

from __future__ import annotations

import asyncio
import codecs
import threading
from typing import Self

from buildnet.node.progress import Progress

WAITING_MAX_BYTES = 256 << 10
"""So much of a command's output waits for the event loop; what comes beyond it is left out."""


class OutputTeller:
    """Takes the output of one task on any thread, in order, and tells it on the event loop.

    However fast it comes, one call into the loop is pending at a time and memory is bounded.

    A context manager, for the time in which it comes: a last line that the command did not end is
    ended then, so that who shows whole lines shows it, too.
    """

    def __init__(
        self, progress: Progress, loop: asyncio.AbstractEventLoop, name: str, task: str
    ) -> None:
        self._progress = progress
        self._loop = loop
        self._event = {"type": "task_output", "name": name, "task": task}
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._lock = threading.Lock()
        self._waiting = bytearray()
        self._left_out_bytes = 0
        self._left_out_lines = 0
        self._line = 1
        self._pending = False
        self._is_open = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._is_open:
            self(b"\n")

    def __call__(self, chunk: bytes) -> None:
        """Take the next bytes of the output."""
        with self._lock:
            self._is_open = not chunk.endswith(b"\n")
            room = WAITING_MAX_BYTES - len(self._waiting)
            self._waiting += chunk[:room]
            self._left_out_bytes += max(0, len(chunk) - room)
            self._left_out_lines += chunk.count(b"\n", room)
            if self._pending:
                return
            self._pending = True
        self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        with self._lock:
            data, self._waiting = bytes(self._waiting), bytearray()
            left_out_bytes, self._left_out_bytes = self._left_out_bytes, 0
            left_out_lines, self._left_out_lines = self._left_out_lines, 0
            self._pending = False
        # A character that the gap cuts in two does not go on behind it.
        text = self._decode(data, left_out_bytes > 0)
        self._progress.tell_output({**self._event, "text": text, "line": self._line})
        self._line += data.count(b"\n") + left_out_lines
        if left_out_bytes:
            self._progress.leave_out(left_out_bytes)
