"""What happened lately, in words for people: of entries of the ledger, and of the nodes' status."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from buildnet.cli.client.shapes import Event
from buildnet.cli.dashboard.last_hour import ENDED, STARTED, LastHour, build_of, unix_of
from buildnet.cli.dashboard.screen import EventRow, Level
from buildnet.cli.dashboard.words import plain
from buildnet.cli.output import duration_text

MOST = 200
_UNTOLD = frozenset(
    {
        *("resources.allocated", "resources.released", "resources.offered", "node.resources"),
        *("benchmark.completed", "key.used", "chain.opened", "build.queued"),
    }
)
"""Types of entries that are of no interest at a glance: they come with each build or start."""
_LEVELS: Mapping[str, Level] = {
    "build.completed": "good",
    "build.failed": "bad",
    "build.cancelled": "warning",
    "queue.paused": "warning",
    "member.revoked": "warning",
    "cache.poisoned": "bad",
    "chain.quarantined": "bad",
    "security.refused": "warning",
    "security.damage_found": "bad",
}
_OF_THE_NODE = ("node.started", "node.stopped", "node.left")
_GONE = ("suspect", "offline")


class Happenings:
    """The latest events, each once. ``builds``: knows what builds are of; ``name_of``: gives a
    node's name by its id, None: it is not known."""

    def __init__(self, builds: LastHour, name_of: Callable[[str], str | None]) -> None:
        self._builds = builds
        self._name_of = name_of
        self._rows: deque[EventRow] = deque(maxlen=MOST)
        self._seen: deque[str] = deque(maxlen=4 * MOST)

    def take_entry(self, entry: Mapping[str, Any]) -> None:
        """Take in an entry of the ledger, whose build is known already."""
        if entry["type"] in _UNTOLD or entry["id"] in self._seen:
            return
        self._seen.append(entry["id"])
        kind = str(entry["type"])
        text = self._build_text(entry) or self._named(entry)
        self._add(EventRow(unix_of(entry), kind, text, _LEVELS.get(kind, "plain")))

    def take_status(self, event: Event, before: Mapping[str, Any] | None) -> None:
        """Take in a change of a node's status: that it is missed, and that it is back."""
        data = event.get("data", {})
        status = data.get("status")
        if before is None or status is None or status == before.get("status"):
            return
        is_gone, was_gone = status in _GONE, before.get("status") in _GONE
        if is_gone or was_gone:
            name = plain(data.get("name") or before.get("name") or data["id"])
            words = {"suspect": "does not answer", "offline": "is offline"}
            text = f"Node {name} {words.get(status, 'is back')}"
            level: Level = "plain" if not is_gone else "warning" if status == "suspect" else "bad"
            self._add(EventRow(event.get("at", 0.0), "node.status", text, level))

    def rows(self) -> tuple[EventRow, ...]:
        """Return what happened, the latest first."""
        return tuple(sorted(self._rows, key=lambda row: -row.at))

    def _add(self, row: EventRow) -> None:
        if len(self._rows) == MOST:  # the oldest goes, in whatever order they came
            oldest = min(self._rows, key=lambda each: each.at)
            if row.at < oldest.at:
                return
            self._rows.remove(oldest)
        self._rows.append(row)

    def _named(self, entry: Mapping[str, Any]) -> str:
        """Return what an entry says, with the name of the node where it says none."""
        text = plain(entry["text"])
        name = self._name_of(str(entry["node_id"]))
        if name is not None and entry["type"] in _OF_THE_NODE:
            return text.replace("The node ", f"Node {plain(name)} ", 1)
        return text

    def _build_text(self, entry: Mapping[str, Any]) -> str | None:
        build, kind, data = build_of(entry), entry["type"], entry["data"]
        if build is None or (kind not in ENDED and kind != STARTED):
            return None
        what = plain(self._builds.workspace(build) or f"build {build}")
        who = plain(entry["actor"].get("name") or entry["actor"]["id"])
        if kind == STARTED:
            return f"Build started: {what} by {who}"
        took = data.get("duration_ms")
        after = "" if took is None else f" ({duration_text(took)})"
        if kind == "build.cancelled":
            return f"Build cancelled: {what} by {who}{after}"
        if kind == "build.failed":
            return f"Build failed: {what}{after}: {plain(data.get('error') or 'unknown')}"
        return f"Build completed: {what}{after}"
