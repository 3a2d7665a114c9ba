"""Where the commands of one build may run: the build asks for room, places give it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from enum import Enum, auto
from typing import Protocol

from buildnet.pool.workspace import TaskId


class Answer(Enum):
    """What a task is told that asks for a place: it has one from now on; it had better wait for one
    that is taken, others of its sort may have better luck; there is none for any of its sort."""

    TAKEN = auto()
    WAITS = auto()
    FULL = auto()


class Places(Protocol):
    """All places of one build."""

    def sort(self, task: TaskId) -> Hashable:
        """Return what tasks that fit the same places have in common; it may change as long as the
        task waits for its turn to be looked up."""

    def begin(self) -> None:
        """Take note that tasks are offered anew, the most urgent first."""

    def take(self, task: TaskId) -> Answer:
        """Find room for a task's command."""

    def give_back(self, task: TaskId) -> None:
        """Take back what a task was given: its command has ended."""


class Slots:
    """The slots of one host. ``sizes``: how many of them a task's command takes, 1 where nothing is
    said; at most all."""

    def __init__(self, slots: int, sizes: Mapping[TaskId, int] | None = None) -> None:
        if slots < 1:
            raise ValueError("a build needs at least one slot")
        self.free = slots
        self._sizes = {task: min(size, slots) for task, size in (sizes or {}).items()}
        self._is_kept = False

    def sort(self, task: TaskId) -> int:
        """See :meth:`Places.sort`."""
        return self._sizes.get(task, 1)

    def begin(self) -> None:
        """See :meth:`Places.begin`."""
        self._is_kept = False

    def take(self, task: TaskId) -> Answer:
        """See :meth:`Places.take`. What is small does not overtake what is large and more urgent:
        that would never start."""
        if not self.has_room_for(task):
            self._is_kept = True
            return Answer.FULL
        self.free -= self.sort(task)
        return Answer.TAKEN

    def has_room_for(self, task: TaskId) -> bool:
        """Tell whether :meth:`take` would find it."""
        return not self._is_kept and self.sort(task) <= self.free

    def give_back(self, task: TaskId) -> None:
        """See :meth:`Places.give_back`."""
        self.free += self.sort(task)
