"""A build as its record tells of it: what became of each task, and when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from buildnet.pool.timeline import QUEUE, Timeline

FULL: Final = "full"
"""The tier of what ran; see the glossary of tiers in the docs."""
_US_NS: Final = 1000


@dataclass(frozen=True, slots=True)
class RecordedTask:
    """One task. ``name`` is ``core`` or ``core#test``; ``data`` is all that the record tells.

    ``began_ns``, ``ended_ns``: unix times of its first part's begin and its last part's end, 0:
    nothing of it was measured; ``waited_ms``: how long it waited for a place, here or on another
    host; ``work_ms``: the rest of its time.
    """

    name: str
    status: str
    tier: str | None
    node: str
    node_name: str | None
    timeline: Timeline | None
    executed_ms: float | None
    depends_on: tuple[str, ...]
    began_ns: int = 0
    ended_ns: int = 0
    waited_ms: float = 0.0
    work_ms: float = 0.0
    data: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RecordedTask:
        """Read one entry of ``packages`` in a build's JSON, of this version or an earlier one."""
        name, task = str(data["name"]), str(data.get("task", "build"))
        executed = data.get("executed_ms")
        timeline = Timeline.from_dict(data.get("timeline"))
        began_ns = took_us = waited_us = 0
        if timeline is not None:
            began_ns, took_us = timeline.began_ns, timeline.took_us
            waited_us = timeline.total_us(QUEUE)
        return cls(
            name if task == "build" else f"{name}#{task}",
            str(data["status"]),
            data.get("tier"),
            str(data.get("node", "")),
            data.get("node_name"),
            timeline,
            None if executed is None else float(executed),
            tuple(map(str, data.get("depends_on", ()))),
            began_ns,
            began_ns + took_us * _US_NS,
            waited_us / 1000,
            max(0, took_us - waited_us) / 1000,
            data,
        )

    @property
    def ran(self) -> bool:
        """Whether its command ran in this build."""
        return self.tier == FULL

    @property
    def was_there(self) -> bool:
        """Whether its result was there already, in the workspace or a cache."""
        return self.status == "succeeded" and self.tier is not None and self.tier != FULL


@dataclass(frozen=True, slots=True)
class RecordedBuild:
    """One build. ``started_ns``: unix time; ``duration_ms`` and ``phases`` None: unknown."""

    id: str
    workspace: str
    status: str
    started_ns: int
    duration_ms: float | None
    tasks: tuple[RecordedTask, ...]
    phases: Mapping[str, float | None] | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RecordedBuild:
        """Read a build's JSON: its report, or its record."""
        return cls(
            str(data["build_id"]),
            str(data["workspace"]),
            str(data["status"]),
            round(float(data["started_at"]) * 1e9),
            data.get("duration_ms"),
            tuple(map(RecordedTask.from_dict, data["packages"])),
            data.get("phases"),
        )

    @property
    def measured(self) -> list[RecordedTask]:
        """The tasks of which something was measured, in the order in which that began."""
        return sorted(
            (task for task in self.tasks if task.timeline is not None),
            key=lambda task: (task.began_ns, task.name),
        )


class Waits:
    """What each measured task of a build waited for: the measured tasks that it depends on, also
    through others of which nothing was to be done."""

    def __init__(self, tasks: Sequence[RecordedTask]) -> None:
        self._tasks = {task.name: task for task in tasks}

    def of(self, task: RecordedTask) -> list[RecordedTask]:
        """Return them; only those that ended before the task did."""
        return [each for each in self._reached(task) if each.ended_ns <= task.ended_ns]

    def _reached(self, task: RecordedTask) -> Iterator[RecordedTask]:
        seen = {task.name}
        waiting = list(task.depends_on)
        while waiting:
            name = waiting.pop()
            found = self._tasks.get(name)
            if name in seen or found is None:
                continue
            seen.add(name)
            if found.timeline is not None:
                yield found
            else:
                waiting += found.depends_on
