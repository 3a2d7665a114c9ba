"""A build as its record tells of it: what became of each task, and when."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from buildnet.pool.timeline import QUEUE, Timeline

FULL: Final = "full"
"""The tier of what ran; see the glossary of tiers in the docs."""
_US_NS: Final = 1000
_MOST_TASKS = 100_000
_MOST_SHARDS = 64
_MOST_NEEDED = 10_000
_MOST_REASONS = 5
_LONGEST_MS = 1e12
_LATEST_S = 1e11
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class RecordedTask:
    """One task. ``name`` is ``core`` or ``core#test``; ``data`` is all that the record tells.

    ``reasons``: why it is not what it was last time; ``nearest``: how the nearest cached result
    differs; ``own_files``: files of its package for which alone it ran, where nobody had named its
    sources. ``began_ns``, ``ended_ns``: unix times of its first part's begin and its last part's
    end, 0: nothing of it was measured; ``waited_ms``: how long it waited for a place, here or on
    another host; ``work_ms``: the rest of its time.
    """

    name: str
    status: str
    tier: str | None
    node: str
    node_name: str | None
    timeline: Timeline | None
    executed_ms: float | None
    depends_on: tuple[str, ...]
    action: str | None = None
    isolation: str | None = None
    reasons: tuple[str, ...] = ()
    nearest: tuple[str, ...] | None = None
    own_files: tuple[str, ...] = ()
    began_ns: int = 0
    ended_ns: int = 0
    waited_ms: float = 0.0
    work_ms: float = 0.0
    data: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RecordedTask:
        """Read one entry of ``packages`` in a build's JSON, of this version or an earlier one.
        Another node may have told it: what makes no sense counts as not told."""
        name, task = _text(data.get("name")) or "?", _text(data.get("task")) or "build"
        timeline = Timeline.from_dict(data.get("timeline"))
        began_ns = took_us = waited_us = 0
        if timeline is not None:
            began_ns, took_us = timeline.began_ns, timeline.took_us
            waited_us = timeline.total_us(QUEUE)
        action, nearest = _text(data.get("action")), data.get("nearest")
        return cls(
            name=name if task == "build" else f"{name}#{task}",
            status=_text(data.get("status")) or "?",
            tier=_text(data.get("tier")),
            node=_text(data.get("node")) or "",
            node_name=_text(data.get("node_name")),
            timeline=timeline,
            executed_ms=duration_of(data.get("executed_ms")),
            depends_on=_texts(data.get("depends_on"), _MOST_NEEDED),
            action=action if action is not None and _HASH.fullmatch(action) else None,
            isolation=_text(data.get("isolation")),
            reasons=_texts(data.get("reasons"), _MOST_REASONS),
            nearest=_texts(nearest.get("reasons"), _MOST_REASONS)
            if isinstance(nearest, dict)
            else None,
            own_files=_own_files(data.get("changes")) if data.get("all_files") is True else (),
            began_ns=began_ns,
            ended_ns=began_ns + took_us * _US_NS,
            waited_ms=waited_us / 1000,
            work_ms=max(0, took_us - waited_us) / 1000,
            data=data,
        )

    def in_shards(self) -> tuple[RecordedTask, ...]:
        """Return the shards of a task that was split, and last itself, which waits for them."""
        told = self.data.get("shards")
        name, task = _text(self.data.get("name")), _text(self.data.get("task"))
        shards = [
            RecordedTask.from_dict(
                {
                    **each,
                    "name": name,
                    "task": f"{task} {_text(each.get('shard'))}",
                    "isolation": self.isolation,
                    "depends_on": list(self.depends_on),
                }
            )
            for each in (told[:_MOST_SHARDS] if isinstance(told, list) else ())
            if isinstance(each, dict)
        ]
        measured = tuple(each for each in shards if each.timeline is not None)
        if not measured:
            return (self,)
        names = tuple(each.name for each in measured)
        return (*measured, replace(self, timeline=None, depends_on=names))

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
            round(min(max(float(data["started_at"]), 0.0), _LATEST_S) * 1e9),
            duration_of(data.get("duration_ms")),
            tuple(map(RecordedTask.from_dict, data["packages"][:_MOST_TASKS])),
            _phases(data.get("phases")),
        )

    def in_shards(self) -> RecordedBuild:
        """Return it with the shards of its tasks as tasks of their own."""
        return replace(self, tasks=tuple(one for task in self.tasks for one in task.in_shards()))

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
        while waiting and len(seen) < _MOST_NEEDED:
            name = waiting.pop()
            found = self._tasks.get(name)
            if name in seen or found is None:
                continue
            seen.add(name)
            if found.timeline is not None:
                yield found
            else:
                waiting += found.depends_on


def duration_of(value: object) -> float | None:
    """Return milliseconds as they were told; None: they were not, or can't be."""
    if isinstance(value, int | float) and 0 <= value <= _LONGEST_MS:
        return float(value)
    return None


def _phases(value: object) -> dict[str, float | None] | None:
    if not isinstance(value, dict):
        return None
    return {str(phase): duration_of(took_ms) for phase, took_ms in value.items()}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _texts(value: object, most: int) -> tuple[str, ...]:
    return tuple(map(str, value[:most])) if isinstance(value, list) else ()


def _own_files(changes: object) -> tuple[str, ...]:
    """Return the files of the package itself, if nothing else has changed."""
    files: list[str] = []
    for each in changes if isinstance(changes, list) else ():
        is_own = isinstance(each, dict) and each.get("kind") == "file" and not each.get("package")
        if not is_own:
            return ()
        files.append(str(each.get("name")))
    return tuple(files)
