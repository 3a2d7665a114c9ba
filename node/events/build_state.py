"""What is known of one build by its events, whichever node drives it. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from buildnet.node.running import BUILD_FINISHED, BUILD_STARTED

RECENT = 5
"""So many of the tasks that ended last are told."""
MOST_RUNNING = 64
"""No more of the tasks that run are named."""


@dataclass(slots=True)
class BuildState:
    """See the module's text. ``status``: ``running`` until it is over; ``estimated_ms``: how long
    it takes in all, by the latest estimate."""

    node: str
    node_id: str
    this_node: bool
    actor: str = ""
    status: str = "running"
    workspace: str = ""
    started_at: float | None = None
    tasks: int | None = None
    done: int = 0
    failed: int = 0
    waits_for: str | None = None
    estimated_ms: float | None = None
    duration_ms: float | None = None
    error: Mapping[str, Any] | None = None
    _running: dict[str, None] = field(default_factory=dict)
    _recent: deque[Mapping[str, Any]] = field(default_factory=lambda: deque(maxlen=RECENT))

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.status != "running"

    def take(self, event: Mapping[str, Any]) -> None:
        """Take in an event of the build."""
        match event["type"]:
            case kind if kind == BUILD_STARTED:
                self.workspace = str(event.get("workspace") or "")
                self.started_at = event.get("started_at")
                self.tasks = event.get("tasks")
                self.done = self.failed = 0  # who goes on with a build tells it from its start on
                self.waits_for = None
                self._running.clear()
            case "tasks_up_to_date":
                self.done += int(event.get("count") or len(event.get("tasks", ())))
            case "task_started":
                self._running[f"{event['name']}#{event['task']}"] = None
            case "task_finished":
                self._finished(event)
            case "estimate":
                told = event.get("estimated_ms")
                self.estimated_ms = told if isinstance(told, int | float) else None
            case "waiting":
                self.waits_for = event.get("for")
            case "resumed":
                self.waits_for = None
            case kind if kind == BUILD_FINISHED and "report" in event:
                self.end(event["report"])

    def _finished(self, event: Mapping[str, Any]) -> None:
        self._running.pop(f"{event['name']}#{event['task']}", None)
        self.done += 1
        self.failed += event.get("status") == "failed"
        kept = ("name", "task", "status", "tier", "node", "duration_ms")
        self._recent.append({key: event.get(key) for key in kept})

    def end(self, report: Mapping[str, Any]) -> None:
        """Take in its end."""
        self.status = str(report.get("status", "failed"))
        self.duration_ms = report.get("duration_ms")
        self.error = report.get("error")
        self.waits_for = None
        self._running.clear()

    def item(self) -> dict[str, Any]:
        """Return what people and programs are told of it."""
        return {
            "workspace": self.workspace,
            "node": self.node,
            "node_id": self.node_id,
            "this_node": self.this_node,
            "actor": self.actor,
            "status": self.status,
            "started_at": self.started_at,
            "tasks": self.tasks,
            "done": self.done,
            "failed": self.failed,
            "running": list(self._running)[:MOST_RUNNING],
            "recent": list(self._recent),
            "waits_for": self.waits_for,
            "estimated_ms": self.estimated_ms,
            "duration_ms": self.duration_ms,
            "error": self.error,
        }
