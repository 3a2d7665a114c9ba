"""Who uses the nodes and what they do, of what the node answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from buildnet.cli.dashboard.screen import Kind, SessionRow
from buildnet.cli.session import far_text

_KINDS: Mapping[str, Kind] = {"account": "account", "agent": "agent"}
_WATCHING = ("/ws", "/events", "/api/ledger/tail", "/api/watch")


def session_rows(sessions: Sequence[Mapping[str, Any]], unix: float) -> tuple[SessionRow, ...]:
    """Return the sessions, who asked last first; who builds before all others. ``unix``: the
    node's time."""
    rows = [_row(each, unix) for each in sessions]
    builds = {each["id"] for each in sessions if each["builds"]}
    last = [(row.id not in builds, row.last_s or 0.0, row.id) for row in rows]
    return tuple(row for _, row in sorted(zip(last, rows, strict=True), key=lambda one: one[0]))


def _row(each: Mapping[str, Any], unix: float) -> SessionRow:
    who = str(each["actor"])
    beginning, _, rest = who.partition(":")
    kind = _KINDS.get(beginning, "user")
    return SessionRow(
        id=str(each["id"]),
        who=who if kind == "user" else rest,
        kind=kind,
        way=str(each["way"]),
        node=str(each.get("node") or ""),
        does=_does(each),
        since_s=_age_s(each["since"], unix),
        last_s=_age_s(each["last"], unix),
    )


def _does(each: Mapping[str, Any]) -> str:
    if each["builds"]:
        return "; ".join(map(far_text, each["builds"]))
    watches = any(
        path in str(connection["what"]) for connection in each["connections"] for path in _WATCHING
    )
    return "watches" if watches else "nothing now"


def _age_s(moment: str | None, unix: float) -> float | None:
    if moment is None:
        return None
    return max(0.0, unix - datetime.fromisoformat(moment).timestamp())
