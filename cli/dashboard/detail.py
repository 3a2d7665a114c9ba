"""One build: its tasks and what they print, by its events. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.text import Text

from buildnet.cli.build_report import task_name
from buildnet.cli.dashboard import words
from buildnet.cli.dashboard.panels import Panel, made_of, name_column
from buildnet.cli.dashboard.printed import Printed
from buildnet.cli.dashboard.table import Column
from buildnet.cli.output import UNKNOWN, duration_text

_ORDER = {"running": 0, "failed": 1, "cancelled": 2, "skipped": 3, "succeeded": 4}


@dataclass(slots=True)
class Task:
    """A task of the build. ``node``: name or id of who ran it; ``since``: when it was told that it
    runs (monotonic); it may have begun before."""

    status: str
    tier: str = ""
    node: str = ""
    duration_ms: float | None = None
    since: float | None = None
    why: str = ""


@dataclass(slots=True)
class Detail:
    """See the module's text. ``status``: None until something is told of it."""

    id: str
    status: str | None = None
    workspace: str = ""
    count: int | None = None
    unchanged: int = 0
    duration_ms: float | None = None
    error: str | None = None
    tasks: dict[tuple[str, str], Task] = field(default_factory=dict)
    printed: Printed = field(default_factory=Printed)
    _times_told: int = 0

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.status not in (None, "running")

    def take(self, event: Mapping[str, Any], now: float) -> list[tuple[str, str]]:
        """Take in an event of the build; return lines that were printed."""
        self.status = self.status or "running"
        match event["type"]:
            case "build_started":
                self.workspace = str(event.get("workspace") or "")
                self.count, self.unchanged = event.get("tasks"), 0
                self._times_told += 1
                self.tasks.clear()  # told from the beginning: perhaps another node goes on with it
            case "tasks_up_to_date":
                self.unchanged += int(event.get("count") or len(event.get("tasks", ())))
            case "task_split":
                self.count = None if self.count is None else self.count + int(event["shards"])
            case "task_started":
                self.tasks[event["name"], event["task"]] = Task("running", since=now)
            case "task_output":
                if event.get("so_far") and self._times_told > 1:
                    return []  # it was shown before the connection broke
                return self.printed.take(event)
            case "task_finished":
                self._finished(event)
            case "build_finished":
                self._over(event["report"])
        return []

    def _finished(self, entry: Mapping[str, Any]) -> None:
        error = entry.get("error") or {}
        self.tasks[entry["name"], entry["task"]] = Task(
            status=str(entry.get("status") or UNKNOWN),
            tier=str(entry.get("tier") or ""),
            node=str(entry.get("node_name") or entry.get("node") or ""),
            duration_ms=entry.get("duration_ms"),
            why=str(error.get("message") or ""),
        )

    def _over(self, report: Mapping[str, Any]) -> None:
        self.status = str(report["status"])
        self.workspace = str(report.get("workspace") or self.workspace)
        self.duration_ms = report.get("duration_ms")
        error = report.get("error")
        self.error = str(error.get("message") if isinstance(error, Mapping) else error or "")
        for entry in report["packages"]:
            self._finished(entry)

    def line(self, width: int) -> Text:
        """Return the build in one line; its workspace's name leaves half of it to the rest."""
        name = words.short(words.plain(self.workspace or UNKNOWN), max(12, width // 4))
        line = Text(f" Build {self.id} of {name}: ", style="bold", no_wrap=True)
        line.append_text(words.status(self.status or "not known yet"))
        if self.duration_ms is not None:
            line.append(f", took {duration_text(self.duration_ms)}")
        ended = sum(task.status != "running" for task in self.tasks.values()) + self.unchanged
        if self.count and not self.is_over:
            line.append(f", {ended}/{self.count} tasks")
        if self.unchanged:
            line.append(f", {self.unchanged} unchanged")
        if self.error:
            line.append(f", {words.plain(self.error)}", style="red")
        return line

    def panel(self, width: int, now: float, names: Mapping[str, str]) -> Panel:
        """Return its tasks, those that run first. ``names``: of nodes, by their ids."""
        columns = (
            name_column("task", width),
            Column("status"),
            Column("tier", spare=1),
            Column("took", right=True),
            name_column("node", width, spare=2),
            Column("why", stretch=24, spare=3),
        )
        found = sorted(self.tasks.items(), key=lambda one: (_ORDER.get(one[1].status, 1), one[0]))
        cells = [("\0".join(key), _cells(key, task, now, names)) for key, task in found]
        head, rows = made_of(columns, cells, width)
        nothing = "none had to be looked at" if self.is_over else "none yet"
        return Panel(f"Tasks ({len(rows):,})", "Enter: its output", nothing, head, rows)


def _cells(
    key: tuple[str, str], task: Task, now: float, names: Mapping[str, str]
) -> tuple[str | Text, ...]:
    took = duration_text(task.duration_ms)
    if task.status == "running" and task.since is not None:
        took = f"≥ {words.span(now - task.since)}"
    return (
        words.plain(task_name({"name": key[0], "task": key[1]})),
        words.status(task.status),
        task.tier,
        took,
        words.plain(names.get(task.node, task.node)),
        words.plain(task.why),
    )
