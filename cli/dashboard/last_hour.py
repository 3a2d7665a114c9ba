"""The builds of the last hour, as the ledger tells of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from buildnet.cli.dashboard.screen import BuildCounts, EndedRow

HOUR_S = 3600.0
STARTED = "build.started"
ENDED = {
    "build.completed": "succeeded",
    "build.failed": "failed",
    "build.cancelled": "cancelled",
}
"""Types of the entries that tell the end of a build, and what its status is then."""
_MOST_NAMES = 4096


def unix_of(entry: Mapping[str, Any]) -> float:
    """Return when an entry was recorded, in unix seconds, by the clock of who did."""
    return datetime.fromisoformat(entry["time"]).timestamp()


def build_of(entry: Mapping[str, Any]) -> str | None:
    """Return the build that an entry is about."""
    kind, _, build = str(entry["entity"]).partition(":")
    return build if kind == "build" and build else None


@dataclass(slots=True)
class LastHour:
    """See the module's text. ``at_least``: more builds ended than were read."""

    at_least: bool = False
    _ended: dict[str, EndedRow] = field(default_factory=dict)
    _workspaces: dict[str, str] = field(default_factory=dict)

    def take(self, entry: Mapping[str, Any]) -> None:
        """Take in an entry of the ledger; one that was there already changes nothing."""
        build = build_of(entry)
        if build is None:
            return
        if entry["type"] == STARTED:
            self.name(build, str(entry["data"].get("workspace") or ""))
        status = ENDED.get(entry["type"])
        if status is None:
            return
        duration_ms = entry["data"].get("duration_ms")
        self._ended[str(entry["id"])] = EndedRow(
            id=build,
            workspace=None,
            actor=str(entry["actor"].get("name") or entry["actor"]["id"]),
            status=status,
            duration_s=None if duration_ms is None else duration_ms / 1000,
            at=unix_of(entry),
            error=entry["data"].get("error") if status == "failed" else None,
        )

    def name(self, build: str, workspace: str) -> None:
        """Take note of the workspace that a build is of."""
        if not workspace:
            return
        self._workspaces[build] = workspace
        while len(self._workspaces) > _MOST_NAMES:
            del self._workspaces[next(iter(self._workspaces))]

    def workspace(self, build: str) -> str | None:
        """Return the name of the workspace that a build is of, as far as it is known."""
        return self._workspaces.get(build)

    def rows(self, unix: float) -> tuple[EndedRow, ...]:
        """Return the builds that ended within the last hour, the latest first."""
        for key in [key for key, row in self._ended.items() if row.at < unix - HOUR_S]:
            del self._ended[key]
        newest = sorted(self._ended.values(), key=lambda row: (-row.at, row.id))
        return tuple(_named(row, self._workspaces.get(row.id)) for row in newest)

    def counts(self, rows: tuple[EndedRow, ...]) -> BuildCounts:
        """Count builds of the last hour. The average is of those that succeeded or failed."""
        by_status = dict.fromkeys(ENDED.values(), 0)
        for row in rows:
            by_status[row.status] += 1
        judged = by_status["succeeded"] + by_status["failed"]
        took = [row.duration_s for row in rows if row.status != "cancelled" and row.duration_s]
        return BuildCounts(
            completed_last_hour=by_status["succeeded"],
            failed_last_hour=by_status["failed"],
            cancelled_last_hour=by_status["cancelled"],
            avg_build_time_s=sum(took) / len(took) if took else None,
            builds_per_minute=len(rows) / (HOUR_S / 60),
            error_rate=by_status["failed"] / judged if judged else None,
            at_least=self.at_least,
        )


def _named(row: EndedRow, workspace: str | None) -> EndedRow:
    return EndedRow(
        row.id, workspace, row.actor, row.status, row.duration_s, row.at, error=row.error
    )
