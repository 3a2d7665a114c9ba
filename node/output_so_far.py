"""What running tasks printed so far, for who comes to look later: the latest of each, bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

MOST_OF_ONE = 128 << 10
MOST_OF_ALL = 1 << 20
"""Characters that are kept of one task, and of all together."""
MOST_TASKS = 4096
"""Of so many something is kept: nodes that tell of theirs can name any."""

_PIECE = 4 << 10
Key = TypeVar("Key", bound=Hashable)


class Printed(NamedTuple):
    """A text, and the number of the line of the task's output in which it begins."""

    line: int
    text: str


@dataclass(slots=True)
class _Latest:
    """The latest output of one task. ``next_line``, ``column``: where the next piece goes on."""

    line: int
    next_line: int
    column: int = 0
    pieces: deque[str] = field(default_factory=deque)
    size: int = 0
    is_cut: bool = False

    def add(self, text: str) -> None:
        if self.pieces and len(self.pieces[-1]) + len(text) <= _PIECE:
            self.pieces[-1] += text
        else:
            self.pieces.append(text)
        self.size += len(text)
        self.next_line += text.count("\n")
        last = text.rfind("\n")
        self.column = self.column + len(text) if last < 0 else len(text) - last - 1

    def forget_oldest(self) -> int:
        gone = self.pieces.popleft()
        self.size -= len(gone)
        self.line += gone.count("\n")
        self.is_cut = not gone.endswith("\n")
        return len(gone)

    def printed(self) -> Printed:
        text, line = "".join(self.pieces), self.line
        end = text.find("\n") if self.is_cut else -1
        return Printed(line, text) if end < 0 else Printed(line + 1, text[end + 1 :])


class OutputSoFar(Generic[Key]):
    """See the module's text. A task is named by a ``Key``; of one that runs again only what the
    latest run printed is kept, and of one whose output has a gap what came after it."""

    def __init__(self, most_of_one: int = MOST_OF_ONE, most_of_all: int = MOST_OF_ALL) -> None:
        self._most_of_one, self._most_of_all = most_of_one, most_of_all
        self._tasks: dict[Key, _Latest] = {}
        self._size = 0

    def add(self, key: Key, line: int, text: str) -> None:
        """Take in the next piece of a task's output, which begins in ``line``."""
        latest = self._tasks.get(key)
        if latest is None or latest.next_line != line:
            self.forget(key)
            if len(self._tasks) >= MOST_TASKS:
                self.forget(next(iter(self._tasks)))
            latest = self._tasks[key] = _Latest(line, line)
        for start in range(0, len(text), _PIECE):
            latest.add(text[start : start + _PIECE])
        self._size += len(text)
        while latest.size > self._most_of_one:
            self._size -= latest.forget_oldest()
        while self._size > self._most_of_all:
            self._size -= max(self._tasks.values(), key=lambda each: each.size).forget_oldest()

    def unknown(self, key: Key, line: int, text: str) -> Printed:
        """Return what is new in a text that a task printed so far: all of it if it is of another
        run, or there is a gap before it."""
        latest = self._tasks.get(key)
        if latest is None or latest.next_line < line:
            return Printed(line, text)
        start = 0
        for _ in range(latest.next_line - line):
            start = text.find("\n", start) + 1
            if not start:
                return Printed(line, text)
        if len(text) < start + latest.column:
            return Printed(line, text)
        return Printed(latest.next_line, text[start + latest.column :])

    def forget(self, key: Key) -> None:
        """Forget a task: it is over."""
        latest = self._tasks.pop(key, None)
        if latest is not None:
            self._size -= latest.size

    def clear(self) -> None:
        """Forget all tasks."""
        self._tasks.clear()
        self._size = 0

    def tasks(self) -> list[Key]:
        """Return the tasks that are known."""
        return list(self._tasks)

    def __iter__(self) -> Iterator[tuple[Key, Printed]]:
        """Yield the tasks that printed something, and what."""
        for key, latest in self._tasks.items():
            if latest.size:
                yield key, latest.printed()
