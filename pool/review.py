"""What a build can be learned from: what its time hung on, what caches saved, what ran and why, and
what would have saved time. Only what was measured counts; what that can't tell is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from buildnet.pool.critical_path import Step, critical_path, elapsed_ms, held_up, with_room_ms
from buildnet.pool.recorded import RecordedBuild, RecordedTask
from buildnet.pool.timeline import EXECUTION, LOOKUP, RESTORE, TRANSFER, UPLOAD

MOST_MISSED: Final = 100
MOST_NAMED: Final = 10
_WORTH_MS: Final = 100.0
_WORTH_SHARE: Final = 0.05
"""What saves less of a build than both is not told."""
_SHARED: Final = ("strict", None)


@dataclass(frozen=True, slots=True)
class Savings:
    """What results that were there saved: ``tasks`` of them, whose commands ran ``executed_ms``
    where they were made; of ``unknown`` that is not known. ``spent_ms``: on finding and restoring
    them here."""

    tasks: int
    executed_ms: float
    unknown: int
    spent_ms: float
    by_tier: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form; field names are stable."""
        return {
            "tasks": self.tasks,
            "executed_ms": round(self.executed_ms, 1),
            "unknown": self.unknown,
            "spent_ms": round(self.spent_ms, 1),
            "by_tier": self.by_tier,
        }


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that another configuration would change. ``saves_ms``: at most so much of this
    build; None: the measurements don't tell."""

    kind: str
    text: str
    hint: str
    tasks: tuple[str, ...]
    saves_ms: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form; field names are stable."""
        return {
            "kind": self.kind,
            "text": self.text,
            "hint": self.hint,
            "tasks": list(self.tasks),
            "saves_ms": None if self.saves_ms is None else round(self.saves_ms, 1),
        }


@dataclass(frozen=True, slots=True)
class Review:
    """See the module's text. ``path_ms``: from the begin of the path's first task to the end of its
    last, of ``elapsed_ms`` from the first thing measured to the last."""

    build: RecordedBuild
    path: tuple[Step, ...]
    path_ms: float
    elapsed_ms: float
    savings: Savings
    missed: tuple[RecordedTask, ...]
    findings: tuple[Finding, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form; field names are stable."""
        return {
            "build_id": self.build.id,
            "workspace": self.build.workspace,
            "status": self.build.status,
            "duration_ms": self.build.duration_ms,
            "phases": self.build.phases,
            "elapsed_ms": round(self.elapsed_ms, 1),
            "critical_path": {
                "ms": round(self.path_ms, 1),
                "work_ms": round(sum(step.work_ms for step in self.path), 1),
                "share": self._share(sum(step.work_ms for step in self.path)),
                "steps": [
                    {**step.as_dict(), "share": self._share(step.work_ms)} for step in self.path
                ],
            },
            "savings": self.savings.as_dict(),
            "missed": [_missed(task) for task in self.missed[:MOST_MISSED]],
            "missed_count": len(self.missed),
            "findings": [finding.as_dict() for finding in self.findings],
        }

    def _share(self, ms: float) -> float | None:
        """Return what part of the build's measured time that is; None: nothing was measured."""
        return round(ms / self.elapsed_ms, 3) if self.elapsed_ms else None


def review(build: RecordedBuild) -> Review:
    """Return what a build can be learned from."""
    path = critical_path(build.tasks)
    took_ms = elapsed_ms(build.tasks)
    path_ms = (path[-1].ended_ns - path[0].began_ns) / 1e6 if path else 0.0
    missed = [task for task in build.tasks if task.ran]
    missed.sort(key=lambda task: (-(task.executed_ms or 0.0), task.name))
    findings = [
        *_room(build, took_ms),
        *_far(missed),
        *_all_files(missed),
        *_isolation(missed),
    ]
    findings.sort(key=lambda finding: -(finding.saves_ms or 0.0))
    return Review(
        build, path, path_ms, took_ms, savings(build.tasks), tuple(missed), tuple(findings)
    )


def savings(tasks: Sequence[RecordedTask]) -> Savings:
    """Return what the results saved that were there."""
    there = [task for task in tasks if task.was_there and task.action is not None]
    known = [task.executed_ms for task in there if task.executed_ms is not None]
    spent_us = sum(
        task.timeline.total_us(LOOKUP, RESTORE) for task in there if task.timeline is not None
    )
    tiers = Counter(str(task.tier) for task in there)
    return Savings(
        len(there),
        sum(known),
        len(there) - len(known),
        spent_us / 1000,
        dict(sorted(tiers.items())),
    )


def _missed(task: RecordedTask) -> dict[str, Any]:
    return {
        "task": task.name,
        "executed_ms": task.executed_ms,
        "reasons": list(task.reasons),
        "nearest": None if task.nearest is None else list(task.nearest),
    }


def _room(build: RecordedBuild, took_ms: float) -> Iterator[Finding]:
    """Yield that commands waited for places, if that cost anything."""
    waited = [task for task in held_up(build.tasks) if task.waited_ms >= 1.0]
    saves_ms = took_ms - with_room_ms(build.tasks, {task.name for task in waited})
    if waited and _is_worth(saves_ms, took_ms):
        waited.sort(key=lambda task: -task.waited_ms)
        total_s = sum(task.waited_ms for task in waited) / 1000
        yield Finding(
            "slots",
            f"{_count(waited)} waited {total_s:.1f} s in all for a slot",
            "more slots save at most this, simulated over the measured times: another node "
            "(buildnet node join), or more cores for commands (limits of node.yaml)",
            _names(waited),
            saves_ms,
        )


def _far(ran: Sequence[RecordedTask]) -> Iterator[Finding]:
    """Yield the nodes to which commands took longer to bring than to run there."""
    by_node: dict[str, list[RecordedTask]] = {}
    for task in ran:
        if task.node_name is not None and task.timeline is not None:
            by_node.setdefault(task.node_name, []).append(task)
    for name, tasks in sorted(by_node.items()):
        there = [task.timeline for task in tasks if task.timeline is not None]
        moved_ms = sum(each.total_us(TRANSFER, UPLOAD) for each in there) / 1000
        ran_ms = sum(each.total_us(EXECUTION) for each in there) / 1000
        if moved_ms > ran_ms and moved_ms >= _WORTH_MS:
            yield Finding(
                "transfer",
                f"{_count(tasks)} on {name} took {moved_ms / 1000:.1f} s to bring there and back "
                f"and {ran_ms / 1000:.1f} s to run",
                "let such commands stay here: a profile with more weight on locality, or "
                "--local-only",
                _names(tasks),
            )


def _all_files(ran: Sequence[RecordedTask]) -> Iterator[Finding]:
    """Yield the tasks that ran for a file of their own alone, where nobody said which count."""
    found = [task for task in ran if task.own_files]
    if found:
        first = found[0]
        files = first.own_files
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        yield Finding(
            "sources",
            f"{_count(found)} ran for files alone that nobody named as sources, so all of the "
            f"package count: {first.name} ran for {files[0]}{more}",
            "if the command does not read them, name what it reads under sources in buildnet.yaml; "
            "at most their commands' time is saved",
            _names(found),
            sum(task.executed_ms or 0.0 for task in found),
        )


def _isolation(ran: Sequence[RecordedTask]) -> Iterator[Finding]:
    """Yield the tasks whose results no other host uses."""
    found = [task for task in ran if task.isolation not in _SHARED]
    if found:
        levels = " and ".join(sorted({str(task.isolation) for task in found}))
        yield Finding(
            "isolation",
            f"{_count(found)} ran in {levels}: other hosts neither run them nor use their results",
            "let them run in strict: see buildnet node status for why this host does not, and "
            "isolation in buildnet.yaml",
            _names(found),
        )


def _is_worth(saves_ms: float, took_ms: float) -> bool:
    return saves_ms >= max(_WORTH_MS, _WORTH_SHARE * took_ms)


def _names(tasks: Sequence[RecordedTask]) -> tuple[str, ...]:
    return tuple(task.name for task in tasks[:MOST_NAMED])


def _count(tasks: Sequence[RecordedTask]) -> str:
    return "1 task" if len(tasks) == 1 else f"{len(tasks)} tasks"
