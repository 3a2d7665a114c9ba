"""The last lines of the node's log, kept in memory for who looks from elsewhere."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

MOST_LINES = 5_000
MOST_CHARACTERS = 4 << 20
LINE_CHARACTERS = 16 << 10
"""Of a longer line the beginning is kept."""
_FORMATTER = logging.Formatter()


class Level(StrEnum):
    """How important a line is, the least important first."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"

    @property
    def number(self) -> int:
        """Its place in the order of Python's logging."""
        return int(getattr(logging, self.name))


def level_of(number: int) -> Level:
    """Return the level of a record; of one between two the lesser."""
    return next((level for level in reversed(Level) if level.number <= number), Level.DEBUG)


@dataclass(frozen=True, slots=True)
class LogLine:
    """``number``: grows from line to line, also over restarts; ``at``: unix seconds; ``source``:
    which part of the node says it; ``exception``: the stack, where one was logged."""

    number: int
    at: float
    level: Level
    source: str
    message: str
    exception: str | None

    @property
    def size(self) -> int:
        """How many characters it takes."""
        return len(self.source) + len(self.message) + len(self.exception or "")

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)

    def holds(self, text: str) -> bool:
        """Tell whether a text, in lower case, is found in it, in whatever case."""
        said = (self.source, self.message, self.exception or "")
        return any(text in each.lower() for each in said)


class LogLines(logging.Handler):
    """Keeps lines, from any thread, and hands each to who listens."""

    def __init__(self, started: float | None = None) -> None:
        super().__init__()
        self._lines: deque[LogLine] = deque()
        self._size = 0
        # No run of a node logs a thousand lines a second, so the next one begins above this one's.
        self._last = int((time.time() if started is None else started) * 1000)
        self._listeners: list[Callable[[LogLine], None]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line; called by logging, which has the lock."""
        try:
            message = _sendable(record.getMessage()[:LINE_CHARACTERS])
            stack = _FORMATTER.formatException(record.exc_info) if record.exc_info else None
            stack = None if stack is None else _sendable(stack[-LINE_CHARACTERS:])
        except Exception:
            self.handleError(record)
            return
        self._last += 1
        line = LogLine(
            self._last,
            round(record.created, 3),
            level_of(record.levelno),
            record.name,
            message,
            stack,
        )
        self._lines.append(line)
        self._size += line.size
        while len(self._lines) > MOST_LINES or self._size > MOST_CHARACTERS:
            self._size -= self._lines.popleft().size
        for listener in self._listeners:
            listener(line)

    def latest(
        self, level: Level, text: str, limit: int, before: int | None
    ) -> tuple[list[LogLine], int | None]:
        """Return the latest lines of a level or more important that hold a text, the newest first,
        and the number to ask on ``before``; None: there are no older ones."""
        assert self.lock is not None
        with self.lock:
            kept = list(self._lines)
        found: list[LogLine] = []
        wanted = text.lower()
        for line in reversed(kept):
            if before is not None and line.number >= before:
                continue
            if line.level.number < level.number or not line.holds(wanted):
                continue
            if len(found) == limit:
                return found, found[-1].number
            found.append(line)
        return found, None

    @contextmanager
    def listening(self, hear: Callable[[LogLine], None]) -> Iterator[None]:
        """Have each line that comes handed to ``hear``, in the thread that logs it, while the
        context is open."""
        assert self.lock is not None
        with self.lock:
            self._listeners.append(hear)
        try:
            yield
        finally:
            with self.lock:
                self._listeners.remove(hear)


def _sendable(text: str) -> str:
    """Return a text with lone surrogates escaped, which no answer can hold: names of files that are
    no UTF-8 have them."""
    return text.encode(errors="backslashreplace").decode()


@contextmanager
def kept_log() -> Iterator[LogLines]:
    """Keep what this process logs while the context is open."""
    lines, root = LogLines(), logging.getLogger()
    root.addHandler(lines)
    try:
        yield lines
    finally:
        root.removeHandler(lines)
        lines.close()
