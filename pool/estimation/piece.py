"""A plan as an estimate sees it: the tasks that are not over, and what is known of each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Fate(StrEnum):
    """What is known of a task before it is over."""

    RUN = "run"
    """It has no result here: its command runs, or another node has the result."""
    RESTORE = "restore"
    """Its result is in the cache."""
    CHANGED = "changed"
    """Something of its own was changed, and something that it depends on is made first."""
    UNKNOWN = "unknown"
    """Something that it depends on is made first."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One task. ``name``: ``package#task``; ``task``: what such tasks are called in all packages;
    ``needs``: numbers of the pieces before it, each lower than its own; ``has_command``: else
    nothing runs; ``slots``: what its command takes, ``may_move``: it may run on other hosts;
    ``input_bytes``: what it reads, 0: unknown; ``running_ms``: how long it runs already, on the
    host ``running_on`` (a number among those of the forecast); None: it has not begun."""

    name: str
    task: str
    needs: tuple[int, ...] = ()
    fate: Fate = Fate.UNKNOWN
    has_command: bool = True
    slots: int = 1
    may_move: bool = False
    input_bytes: int = 0
    running_ms: float | None = None
    running_on: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a piece. ``ran``: its command did, else its result was found;
    ``duration_ms``: what it took, with staging and delivery."""

    ran: bool
    duration_ms: float
