"""What a running build tells those who watch it.

State changes (a task started, ended) are kept, so that whoever comes late sees all of them. Of the
output the latest of each running task is kept, and passed on to them first. How much may wait is
bounded for each reader, and one that is too slow is told how much was left out.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from buildnet.node.output_so_far import OutputSoFar

Event = dict[str, Any]

WAITING_MAX_BYTES = 1 << 20
"""So much output, as JSON, waits for one reader."""

BATCH_MAX_BYTES = 256 << 10
"""A batch is no larger as JSON, unless it is one event: encoding it must not hold up the loop."""

GATHERED_S = 0.02
"""So long changes are gathered before they are passed on: a hundred short commands are not worth
two hundred pieces of a stream. Much output and a build's end wait for nothing."""

_GATHERED_BYTES = 64 << 10
_PIECE_CHARACTERS = 8 << 10  # 12 bytes each at most as JSON
_EVENT_BYTES = 128  # of an event besides its texts
_STATE_EVENT_BYTES = 1 << 10
_MOST_NOTICES = 100


class Progress:
    """The events of one build. To be used on the event loop's thread alone."""

    def __init__(self) -> None:
        self._kept: list[Event] = []
        self._so_far: OutputSoFar[tuple[str, str]] = OutputSoFar()
        self._readers: set[_Reader] = set()
        self._over = False
        self.notices: list[str] = []
        """What people were told besides, such as a host that is not used any more."""

    def notice(self, text: str) -> None:
        """Tell people something, once."""
        if text not in self.notices and len(self.notices) < _MOST_NOTICES:
            self.notices.append(text)
            self.tell({"type": "notice", "text": text})

    def tell(self, event: Event) -> None:
        """Pass on and keep a change of state."""
        self._kept.append(event)
        if event["type"] in ("task_started", "task_finished"):
            self._so_far.forget((event["name"], event["task"]))
        for reader in self._readers:
            reader.add(event)

    def tell_once(self, event: Event) -> None:
        """Pass on what soon is not so any more; who comes later is told what is so then."""
        for reader in self._readers:
            reader.add(event)

    def tell_output(self, event: Event) -> None:
        """Pass on a piece of a task's output (``name``, ``task``, ``text``); the latest is kept
        until the task is over. ``line``: the number of the line of that output in which it begins.
        """
        name, task, text, line = event["name"], event["task"], event["text"], event["line"]
        self._so_far.add((name, task), line, text)
        if not self._readers:
            return
        for start in range(0, len(text), _PIECE_CHARACTERS):
            piece = text[start : start + _PIECE_CHARACTERS]
            size_bytes = _EVENT_BYTES + len(json.dumps(piece))
            for reader in self._readers:
                reader.add_output(name, task, line, piece, size_bytes)
            line += piece.count("\n")

    def leave_out(self, size_bytes: int) -> None:
        """Tell that so much output is missing here."""
        for reader in self._readers:
            reader.leave_out(size_bytes)

    def close(self) -> None:
        """End all streams after what was told so far; who comes later gets the last event alone,
        which tells the outcome."""
        self._over = True
        del self._kept[:-1]
        self._so_far.clear()
        for reader in self._readers:
            reader.wake()

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[AsyncIterator[list[Event]]]:
        """Open a stream of all events from the first one on, in batches; it ends with the build.
        What running tasks printed so far comes after what happened, marked with ``so_far``."""
        reader = _Reader([*self._kept, *self._printed_so_far()])
        self._readers.add(reader)
        try:
            yield self._batches(reader)
        finally:
            self._readers.discard(reader)

    def _printed_so_far(self) -> Iterator[Event]:
        for (name, task), (line, text) in self._so_far:
            event = {"type": "task_output", "name": name, "task": task, "text": text, "line": line}
            yield {**event, "so_far": True}

    async def _batches(self, reader: _Reader) -> AsyncIterator[list[Event]]:
        while True:
            batch = reader.take()
            if batch:
                yield batch
                await asyncio.sleep(0)  # others get their turn though more may wait
            elif self._over:
                return
            else:
                await reader.wait()


@dataclass(slots=True)
class _Output:
    """Consecutive output of one task; ``size_bytes`` as JSON."""

    name: str
    task: str
    line: int
    pieces: list[str]
    size_bytes: int

    def event(self) -> Event:
        text, of = "".join(self.pieces), {"name": self.name, "task": self.task}
        return {"type": "task_output", **of, "text": text, "line": self.line}


class _Reader:
    def __init__(self, kept: list[Event]) -> None:
        self._waiting: deque[Event | _Output] = deque(kept)
        self._output_bytes = 0
        self._left_out_bytes = 0
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._gathering: asyncio.TimerHandle | None = None

    def add(self, event: Event) -> None:
        self._tell_left_out()
        self._waiting.append(event)
        self._gather()

    def add_output(self, name: str, task: str, line: int, text: str, size_bytes: int) -> None:
        if self._output_bytes + size_bytes > WAITING_MAX_BYTES:
            self.leave_out(len(text.encode()))
            return
        self._tell_left_out()
        last = self._waiting[-1] if self._waiting else None
        if (
            isinstance(last, _Output)
            and (last.name, last.task) == (name, task)
            and last.size_bytes + size_bytes <= BATCH_MAX_BYTES
        ):
            last.pieces.append(text)
            last.size_bytes += size_bytes
        else:
            self._waiting.append(_Output(name, task, line, [text], size_bytes))
        self._output_bytes += size_bytes
        if self._output_bytes >= _GATHERED_BYTES:
            self.wake()
        else:
            self._gather()

    def leave_out(self, size_bytes: int) -> None:
        self._left_out_bytes += size_bytes
        self._gather()

    def _gather(self) -> None:
        """Wake who reads a little later, with what comes until then."""
        if self._gathering is None:
            self._gathering = self._loop.call_later(GATHERED_S, self.wake)

    def _tell_left_out(self) -> None:
        """Put the mark of a gap where the gap is: before what comes after it."""
        if self._left_out_bytes:
            event = {"type": "output_left_out", "bytes": self._left_out_bytes}
            self._waiting.append(event)
            self._left_out_bytes = 0

    def wake(self) -> None:
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        self._news.set()

    def take(self) -> list[Event]:
        if not self._waiting:
            self._tell_left_out()
        batch: list[Event] = []
        left_bytes = BATCH_MAX_BYTES
        while self._waiting:
            first = self._waiting[0]
            size_bytes = first.size_bytes if isinstance(first, _Output) else _state_bytes(first)
            if batch and size_bytes > left_bytes:
                break
            left_bytes -= size_bytes
            self._waiting.popleft()
            if isinstance(first, _Output):
                self._output_bytes -= size_bytes
                batch.append(first.event())
            else:
                batch.append(first)
        return batch

    async def wait(self) -> None:
        await self._news.wait()
        self._news.clear()


def _state_bytes(event: Event) -> int:
    """Estimate an event as JSON; what can be long in it is what a command printed."""
    return _STATE_EVENT_BYTES + len(event.get("output") or event.get("text") or "")
