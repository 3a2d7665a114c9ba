"""A build as it is asked for and while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from buildnet.node.execute.cancel import CancelToken
from buildnet.node.perform import Performer
from buildnet.node.progress import Progress
from buildnet.node.workspaces import Definition
from buildnet.pool.build import Status
from buildnet.pool.workspace import BUILD, Workspace


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What somebody wants built.

    ``directory`` lies in the workspace; ``packages`` none means all; ``environment`` is the
    submitter's, of which actions see what they declare under ``env_inherit``.
    """

    directory: Path
    packages: tuple[str, ...] = ()
    task: str = BUILD
    force: bool = False
    dry_run: bool = False
    keep_going: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    actor: str = "local"

    def as_dict(self) -> dict[str, Any]:
        """Return what is kept in the record of builds; the environment is not."""
        return {
            "packages": list(self.packages),
            "task": self.task,
            "force": self.force,
            "dry_run": self.dry_run,
            "keep_going": self.keep_going,
        }


@dataclass(slots=True)
class RunningBuild:
    """A build that was accepted; ``report`` is there once it is over."""

    id: str
    definition: Definition
    request: BuildRequest
    started_at: float
    progress: Progress = field(default_factory=Progress)
    performer: Performer | None = None
    hook: CancelToken | None = None
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    isolation_reason: str | None = None
    report: dict[str, Any] | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def cancel(self) -> None:
        """Ask for its end."""
        self.cancelled.set()
        if self.hook is not None:
            self.hook.set()
        if self.performer is not None:
            self.performer.cancel()

    @property
    def workspace(self) -> Workspace:
        """The workspace as it was described when the build was accepted."""
        return self.definition.workspace

    def close(
        self, status: Status, duration_ms: float, error: dict[str, str | None] | None
    ) -> None:
        """Make the report, tell it to all who watch, and end their streams."""
        self.report = {
            **self.summary(),
            "status": status.value,
            "duration_ms": round(duration_ms, 1),
            "error": error,
            "isolation_reason": self.isolation_reason,
            "packages": self.packages(),
        }
        self.performer = None
        self.progress.tell({"type": "build_finished", "report": self.report})
        self.progress.close()
        self.over.set()

    def packages(self) -> list[dict[str, Any]]:
        """Return the reports of the tasks that ended so far."""
        reports = self.performer.reports.values() if self.performer else ()
        return [report.as_dict() for report in reports]

    def summary(self) -> dict[str, Any]:
        """Return what is known of the build from its start on."""
        return {
            "build_id": self.id,
            "status": "running",
            "duration_ms": None,
            "estimated_ms": None,
            "coordinator": None,
            "workspace": self.workspace.name,
            "root": str(self.workspace.root),
            "dry_run": self.request.dry_run,
            "started_at": self.started_at,
        }
