"""What happened lately, in words for people: of entries of the ledger, and of the nodes' status."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from buildnet.cli.client.shapes import Event
from buildnet.cli.dashboard.last_hour import ENDED, STARTED, LastHour, build_of, unix_of
from buildnet.cli.dashboard.screen import EventRow, Level
from buildnet.cli.dashboard.words import plain, short
from buildnet.cli.output import duration_text

MOST = 200
_NAME = 40
"""So many cells of a workspace's name are told, since what became of its build comes after it."""
_UNTOLD = frozenset(
    {
        *("resources.allocated", "resources.released", "resources.offered", "node.resources"),
        *("benchmark.completed", "key.used", "chain.opened", "build.queued"),
        "node.joined",
    }
)
"""Types of entries that are of no interest at a glance: they come with each build or start, or, as
"node.joined", with one that tells the same ("member.admitted", "cluster.founded")."""
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
_NOT_SAID = re.compile(r"^A node came in: |, by the invitation [0-9a-f]{16}")
_ID_OF_NAMED = re.compile(r" \([0-9a-f]{16}\)")
_NODE_ID = re.compile(r"\b[0-9a-f]{16}\b")
_BUILD = re.compile(r"\bbuild:(\w+)")
_MILLISECONDS = re.compile(r"\b(\d+) ms\b")
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
        """Take in a change of a node: that it is missed, that it is back, that it coordinates."""
        data = event.get("data", {})
        if before is None:
            return
        name = plain(data.get("name") or before.get("name") or data["id"])
        if data.get("coordinator") and not before.get("coordinator"):
            text = f"Node {name} coordinates now"
            self._add(EventRow(event.get("at", 0.0), "node.coordinator", text))
        status = data.get("status")
        if status is None or status == before.get("status"):
            return
        is_gone, was_gone = status in _GONE, before.get("status") in _GONE
        if is_gone or was_gone:
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
        """Return what an entry says, with the names of nodes and workspaces in place of ids."""
        text = _NODE_ID.sub(self._name, _ID_OF_NAMED.sub("", _NOT_SAID.sub("", entry["text"])))
        text = _MILLISECONDS.sub(lambda found: duration_text(int(found[1])), text)
        text = _BUILD.sub(self._build_name, text)
        name = self._name_of(str(entry["node_id"]))
        if name is not None:
            text = re.sub(r"^The node\b", lambda _: f"Node {name}", text)
        return plain(text)

    def _name(self, found: re.Match[str]) -> str:
        return self._name_of(found[0]) or found[0]

    def _build_name(self, found: re.Match[str]) -> str:
        workspace = self._builds.workspace(found[1])
        return f"build {found[1]}" if workspace is None else f"the build of {workspace}"

    def _build_text(self, entry: Mapping[str, Any]) -> str | None:
        build, kind, data = build_of(entry), entry["type"], entry["data"]
        if build is None or (kind not in ENDED and kind != STARTED):
            return None
        what = short(plain(self._builds.workspace(build) or f"build {build}"), _NAME)
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
