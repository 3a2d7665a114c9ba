"""Two builds side by side: what took longer, came another way, or was another action, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from buildnet.pool.explain import Change
from buildnet.pool.recorded import RecordedBuild, RecordedTask

MOST_EXPLAINED: Final = 50
"""Of so many tasks it is looked up why their keys differ, those first that took longest."""

Why = Callable[[str, str], Sequence[Change] | None]
"""Tells how two actions differ, by their hashes; None: that is not known any more."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One task in both builds; None: it was not in that one. ``changes``: how its second action
    differs from its first; None: it is the same, or that is not known any more."""

    name: str
    before: RecordedTask | None
    after: RecordedTask | None
    changes: tuple[Change, ...] | None = None

    @property
    def difference_ms(self) -> float | None:
        """How much more was done for it in the second; None: it was in one of them alone."""
        if self.before is None or self.after is None:
            return None
        return self.after.work_ms - self.before.work_ms

    @property
    def has_other_key(self) -> bool:
        """Whether it was another action."""
        return (
            self.before is not None
            and self.after is not None
            and self.before.action != self.after.action
        )

    @property
    def has_other_tier(self) -> bool:
        """Whether its result came another way."""
        return (
            self.before is not None
            and self.after is not None
            and self.before.tier != self.after.tier
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form; field names are stable."""
        difference = self.difference_ms
        return {
            "task": self.name,
            "before": _side(self.before),
            "after": _side(self.after),
            "difference_ms": None if difference is None else round(difference, 1),
            "other_tier": self.has_other_tier,
            "other_key": self.has_other_key,
            "changes": None if self.changes is None else [str(each) for each in self.changes],
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two builds; ``tasks``, those first that the second did most more for."""

    before: RecordedBuild
    after: RecordedBuild
    tasks: tuple[Compared, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form; field names are stable."""
        return {
            "before": _build(self.before),
            "after": _build(self.after),
            "tasks": [task.as_dict() for task in self.tasks],
        }


def compare(before: RecordedBuild, after: RecordedBuild, why: Why) -> Comparison:
    """Compare two builds. ``why`` may block."""
    first = {task.name: task for task in before.tasks}
    second = {task.name: task for task in after.tasks}
    names = dict.fromkeys([*first, *second])
    compared = [Compared(name, first.get(name), second.get(name)) for name in names]
    compared.sort(key=lambda each: (-(each.difference_ms or 0.0), each.name))
    explained = 0
    for at, each in enumerate(compared):
        if each.has_other_key and explained < MOST_EXPLAINED:
            explained += 1
            compared[at] = _explained(each, why)
    return Comparison(before, after, tuple(compared))


def _explained(each: Compared, why: Why) -> Compared:
    assert each.before is not None
    assert each.after is not None
    old, new = each.before.action, each.after.action
    changes = why(old, new) if old and new else None
    return Compared(each.name, each.before, each.after, None if changes is None else tuple(changes))


def _side(task: RecordedTask | None) -> dict[str, Any] | None:
    if task is None:
        return None
    return {
        "status": task.status,
        "tier": task.tier,
        "work_ms": round(task.work_ms, 1),
        "executed_ms": task.executed_ms,
        "node": task.node,
        "node_name": task.node_name,
        "action": task.action,
    }


def _build(build: RecordedBuild) -> dict[str, Any]:
    return {
        "build_id": build.id,
        "workspace": build.workspace,
        "status": build.status,
        "duration_ms": build.duration_ms,
    }
