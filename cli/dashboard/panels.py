"""The panels of the dashboard as lines of text, for any width: what the live screen and ``--once``
both show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Literal

from rich.text import Text

from buildnet.cli.dashboard import words
from buildnet.cli.dashboard.screen import (
    BuildRow,
    EndedRow,
    EventRow,
    Freshness,
    NodeRow,
    QueueRow,
    Screen,
    SessionRow,
)
from buildnet.cli.dashboard.table import Column, lay_out
from buildnet.cli.output import UNKNOWN, age_text

PanelName = Literal["alerts", "running", "queue", "sessions", "events", "ended", "nodes"]
_TITLES: Mapping[PanelName, str] = {
    "alerts": "Alerts",
    "running": "Running builds",
    "queue": "Queue",
    "sessions": "Active sessions",
    "events": "Recent events",
    "ended": "Ended in the last hour",
    "nodes": "Nodes",
}

_NARROW = 60
"""Where there are fewer columns, there is no room for bars."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a panel. ``key``: of the build, node or session that it is about; "": none;
    ``whole``: all that it would say if there were room."""

    key: str
    line: Text
    whole: str


@dataclass(frozen=True, slots=True)
class Panel:
    """``head``: names of the columns; ``note``: how old it is; ``nothing``: said where there is no
    row."""

    title: str
    note: str
    nothing: str
    head: Text | None
    rows: tuple[Row, ...]

    def filtered(self, text: str) -> Panel:
        """Return it with those rows alone that have all words of ``text``."""
        wanted = text.lower().split()
        if not wanted:
            return self
        kept = tuple(row for row in self.rows if all(word in row.whole.lower() for word in wanted))
        nothing = f"nothing here has {text!r}" if self.rows else self.nothing
        title = f"{self.title}, {len(kept)} of {len(self.rows)} have {text!r}"
        return Panel(title, self.note, nothing, self.head, kept)


def panel(name: PanelName, screen: Screen, width: int) -> Panel:
    """Return a panel for ``width`` columns."""
    live = _live(screen)
    match name:
        case "alerts":
            return _alerts(screen.alerts, width)
        case "running" if screen.running is not None:
            return _running(screen.running, live, width)
        case "queue" if screen.queue is not None:
            return _queue(screen.queue, live, width)
        case "sessions" if screen.sessions is not None:
            return _sessions(screen.sessions, _told_of_sessions(screen), width)
        case "events" if screen.events is not None:
            return _events(screen.events, live, width)
        case "ended" if screen.ended is not None:
            return _ended(screen.ended, width)
        case "nodes" if screen.nodes is not None:
            return _nodes(screen.nodes, live, width)
    return Panel(_TITLES[name], "", "not known yet", None, ())


def _live(screen: Screen) -> str:
    if screen.lost is None:
        return "live"
    return f"as of {words.ago(screen.sources.get('events', Freshness()).age_s)}"


def _told_of_sessions(screen: Screen) -> str:
    note = words.freshness(screen.sources.get("sessions", Freshness()))
    if screen.silent:
        note += f"; {len(screen.silent)} did not tell: {words.plain(', '.join(screen.silent))}"
    return note


def _panel(
    title: str,
    note: str,
    nothing: str,
    columns: Sequence[Column],
    rows: Sequence[tuple[str, Sequence[str | Text]]],
    width: int,
) -> Panel:
    head, made = made_of(columns, rows, width)
    return Panel(f"{title} ({len(made):,})", note, nothing, head, made)


def made_of(
    columns: Sequence[Column], rows: Sequence[tuple[str, Sequence[str | Text]]], width: int
) -> tuple[Text, tuple[Row, ...]]:
    """Return the line of the columns' names, and rows of keys and cells."""
    head, lines = lay_out(columns, [cells for _, cells in rows], width)
    wholes = [" ".join(map(str, cells)) for _, cells in rows]
    keys = [key for key, _ in rows]
    return head, tuple(map(Row, keys, lines, wholes))


def name_column(name: str, width: int, spare: int = 0) -> Column:
    """Return a column of names that people have chosen, however long."""
    return Column(name, spare=spare, stretch=max(12, width // 5), is_name=True)


def _alerts(alerts: Sequence[str], width: int) -> Panel:
    rows = [
        Row("", Text(line, style="yellow"), alert)
        for alert in alerts
        for line in wrap(f"! {words.plain(alert)}", width, subsequent_indent="  ")
    ]
    return Panel(f"{_TITLES['alerts']} ({len(alerts)})", "", "none", None, tuple(rows))


def _running(builds: Sequence[BuildRow], note: str, width: int) -> Panel:
    columns = (
        Column("build", spare=2),
        name_column("workspace", width),
        name_column("by", width, spare=3),
        name_column("node", width, spare=4),
        Column("tasks"),
        Column("since", right=True),
        Column("estimate", spare=1),
        Column("does", stretch=24, spare=5),
    )
    rows = [
        (
            each.id,
            (
                each.id,
                words.plain(each.workspace),
                words.plain(each.actor),
                words.plain(each.node),
                words.progress(each, with_bar=width >= _NARROW),
                words.span(each.elapsed_s),
                words.estimate(each),
                words.activity(each),
            ),
        )
        for each in builds
    ]
    return _panel(_TITLES["running"], note, "nothing runs", columns, rows, width)


def _queue(builds: Sequence[QueueRow], note: str, width: int) -> Panel:
    columns = (
        Column("place", right=True),
        Column("build", spare=2),
        name_column("workspace", width),
        name_column("by", width, spare=3),
        Column("priority", spare=4),
        Column("waited", right=True, spare=1),
        Column("starts in", right=True, spare=1),
        Column("state", stretch=min(24, width * 9 // 20)),
    )
    rows = [
        (
            each.id,
            (
                str(each.place),
                each.id,
                words.plain(each.workspace),
                words.plain(each.actor),
                each.priority,
                words.span(each.waited_s),
                words.span(each.starts_in_s),
                words.plain(each.words),
            ),
        )
        for each in builds
    ]
    return _panel(_TITLES["queue"], note, "nothing waits", columns, rows, width)


def _sessions(sessions: Sequence[SessionRow], note: str, width: int) -> Panel:
    columns = (
        name_column("who", width),
        Column("kind"),
        Column("by"),
        name_column("node", width, spare=2),
        Column("does", stretch=min(36, width * 9 // 20)),
        Column("since", right=True, spare=1),
        Column("last", right=True, spare=4),
    )
    rows = [
        (
            each.id,
            (
                words.plain(each.who),
                each.kind,
                each.way,
                words.plain(each.node),
                words.plain(each.does),
                age_text(each.since_s),
                age_text(each.last_s),
            ),
        )
        for each in sessions
    ]
    return _panel(_TITLES["sessions"], note, "nobody", columns, rows, width)


def _events(events: Sequence[EventRow], note: str, width: int) -> Panel:
    columns = (Column("at"), Column("what", stretch=24))
    rows = [
        (
            "",
            (
                Text(words.clock(each.at), style="dim"),
                Text(words.plain(each.text), style=words.STYLES[each.level]),
            ),
        )
        for each in events
    ]
    shown = _panel(_TITLES["events"], note, "none", columns, rows, width)
    return Panel(_TITLES["events"], shown.note, shown.nothing, None, shown.rows)


def _ended(builds: Sequence[EndedRow], width: int) -> Panel:
    columns = (
        Column("build", spare=1),
        name_column("workspace", width),
        name_column("by", width, spare=3),
        Column("status"),
        Column("took", right=True),
        Column("ended", spare=2),
        Column("error", stretch=24, spare=4),
    )
    rows = [
        (
            each.id,
            (
                each.id,
                words.plain(each.workspace or UNKNOWN),
                words.plain(each.actor),
                words.status(each.status),
                words.took(each.duration_s),
                words.clock(each.at),
                words.plain(each.error or ""),
            ),
        )
        for each in builds
    ]
    return _panel(_TITLES["ended"], "by the ledger", "none", columns, rows, width)


def _nodes(nodes: Sequence[NodeRow], note: str, width: int) -> Panel:
    columns = (
        name_column("node", width),
        Column("id", spare=8),
        Column("role", spare=3),
        Column("status"),
        Column("cores", right=True),
        Column("cpu", right=True, spare=1),
        Column("memory", right=True, spare=4),
        Column("builds", right=True, spare=6),
        Column("round trip", right=True, spare=5),
        Column("version", spare=9),
        Column("measured", right=True, spare=2),
        Column("note", stretch=24, spare=7),
    )
    rows = [(each.id, _node_cells(each)) for each in nodes]
    return _panel(_TITLES["nodes"], note, "none", columns, rows, width)


def _node_cells(node: NodeRow) -> tuple[str | Text, ...]:
    state = words.status(node.status)
    if node.draining:
        state = state.copy().append(", drained", style="yellow")
    used, total = node.memory_used_bytes, node.memory_bytes
    cores = UNKNOWN if node.cores is None else f"{node.cores_in_use}/{node.cores}"
    memory = UNKNOWN if used is None or total is None else words.sizes(used, total)
    busy = words.percent(node.cpu_busy)
    if node.status == "offline":  # what it used is not so any more
        cores = memory = busy = UNKNOWN
    latency = "this node" if node.this_node else UNKNOWN
    if node.latency_ms is not None:
        latency = f"{node.latency_ms:.1f} ms"
    return (
        words.plain(node.name),
        node.id[:12],
        f"{node.role}, coordinator" if node.coordinator else node.role,
        state,
        cores,
        busy,
        memory,
        str(node.builds),
        latency,
        node.version or UNKNOWN,
        words.ago(node.age_s),
        "" if node.draining else words.plain(node.lends_nothing or ""),
    )
