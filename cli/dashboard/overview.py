"""The top of the dashboard: the cluster, its resources and its builds in a few lines."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from rich.cells import cell_len
from rich.text import Text

from buildnet.cli.dashboard import words
from buildnet.cli.dashboard.screen import Cluster, Screen
from buildnet.cli.output import UNKNOWN

_LABEL = 11
_APART = "   "
_LEAST_NAME = 16
_LEAST_BESIDE = 72
"""Where there are fewer columns, what else stands side by side is one below the other."""


def head(screen: Screen, width: int, *, said: str = "") -> list[Text]:
    """Return the lines about the cluster. ``said``: of the screen itself, such as that it is
    paused."""
    cluster = screen.cluster
    status = Text("Status: ").append(
        cluster.status.upper(), style=f"bold {words.STATUS_STYLES.get(cluster.status, '')}"
    )
    about = [f"Version: {cluster.version or UNKNOWN}", f"Nodes: {_reach(cluster)}"]
    uptime = f"Uptime: {words.span(cluster.uptime_s)}"
    if cluster.node is not None:
        rest = sum(len(each) + len(_APART) for each in about)
        uptime = _with_name(f"{uptime} (node ", cluster.node, ")", width, rest)
    lines = _title(words.plain(cluster.name or UNKNOWN), status, width)
    lines += _flow([uptime, *about], _APART, width)
    lines += _flow(_leads(cluster, width), ", ", width)
    if screen.lost is not None:
        lost = f"CONNECTION LOST: {words.plain(screen.lost)}"
        lines += _flow(lost.split(), " ", width, "bold red")
    if said:
        lines += _flow(said.split(), " ", width, "bold yellow")
    for line in lines:
        line.no_wrap = True
        line.truncate(width, overflow="ellipsis")
    return lines


def resources(screen: Screen, width: int) -> tuple[str, str, list[Text]]:
    """Return title, age and lines of what the workers have."""
    has = screen.resources
    workers = UNKNOWN
    if has.active_workers is not None:
        workers = f"{has.active_workers}/{has.total_workers} active"
        if has.offline_workers:
            workers += f", {has.offline_workers} offline"
        if has.draining_workers:
            workers += f", {has.draining_workers} drained"
        workers += f", {has.idle_workers} idle"
    cpu = words.cores(has.cores)
    if has.cpu_busy is not None:
        cpu += f", {words.percent(has.cpu_busy)} busy"
    cache = UNKNOWN
    if has.cache_bytes is not None:
        cache = words.sizes(has.cache_bytes, has.cache_limit_bytes)
        if has.cache_hit_rate is not None:
            cache += f", {words.percent(has.cache_hit_rate)} hits"
    notes = []
    if has.oldest_s is not None:
        notes.append(f"≤ {words.span(has.oldest_s)} old")
    if has.cache_bytes is not None:
        node = words.plain(screen.cluster.node or "the asked node")
        notes.append(f"cache: {words.short(node, max(12, width // 5))}")
    fields = {
        "Workers": workers,
        "CPU": cpu,
        "Memory": words.memory(has.memory_bytes),
        "Cache": cache,
    }
    if has.untold:
        fields["Without"] = f"{words.plain(', '.join(has.untold))} (not told yet)"
    return "Resources", ", ".join(notes), [_field(name, value) for name, value in fields.items()]


def builds(screen: Screen) -> tuple[str, str, list[Text]]:
    """Return title, age and lines of how many builds there are."""
    has = screen.builds
    queued = words.count(has.queued)
    if has.paused:
        queued += f", {has.paused} paused"
    more = has.at_least
    ended = f"{words.count(has.completed_last_hour, at_least=more)} (last hour)"
    failed = words.count(has.failed_last_hour, at_least=more)
    if has.cancelled_last_hour:
        failed += f", {has.cancelled_last_hour} cancelled"
    fields = {
        "Queued": f"{queued}; in progress: {words.count(has.in_progress)}",
        "Completed": ended,
        "Failed": f"{failed} (last hour)",
        "Avg time": words.took(has.avg_build_time_s)
        if has.avg_build_time_s is not None
        else f"{UNKNOWN} (none ended)"
        if has.completed_last_hour is not None
        else UNKNOWN,
    }
    return "Builds", "", [_field(name, value) for name, value in fields.items()]


def beside(left: Sequence[Text], right: Sequence[Text], width: int) -> list[Text]:
    """Return two columns of lines as one, the first one as wide as it needs to be; where it is
    narrow, one below the other."""
    if width < _LEAST_BESIDE:
        below = [line.copy() for line in (*left, *right)]
        for line in below:
            line.truncate(width, overflow="ellipsis")
        return below
    widest = max((line.cell_len for line in left), default=0) + 2
    half = max(width // 2, min(widest, width * 3 // 5))
    lines = []
    for one, other in zip_longest(left, right, fillvalue=Text()):
        line = one.copy()
        line.truncate(half - 1, overflow="ellipsis", pad=True)
        line.append(" ")
        rest = other.copy()
        rest.truncate(width - half, overflow="ellipsis")
        lines.append(line.append_text(rest))
    return lines


def _field(name: str, value: str) -> Text:
    style = "dim" if value.startswith(UNKNOWN) else ""
    return Text(f" {name + ':':<{_LABEL}}", no_wrap=True).append(value, style=style)


def _title(name: str, status: Text, width: int) -> list[Text]:
    """Return the cluster's name and status, in one line if there is room for both."""
    label = " BUILDNET CLUSTER: "
    room = width - len(label) - status.cell_len - 2
    if room < min(cell_len(name), _LEAST_NAME):
        first = Text(label + words.short(name, width - len(label)), style="bold")
        return [first, Text(" ").append_text(status)]
    line = Text(label + words.short(name, room), style="bold")
    line.pad_right(width - line.cell_len - status.cell_len - 1)
    return [line.append_text(status).append(" ")]


def _with_name(before: str, name: str, after: str, width: int, rest: int) -> str:
    """Return a name with what stands around it, shortened to leave ``rest`` cells of a line to what
    follows, or, where that is too much, as its line has room."""
    room = width - 2 - len(before) - len(after)  # with a space before it and a comma behind it
    name = words.plain(name)
    wanted = min(cell_len(name), _LEAST_NAME)
    return before + words.short(name, room - rest if room - rest >= wanted else room) + after


def _flow(pieces: Sequence[str], between: str, width: int, style: str = "") -> list[Text]:
    """Return pieces in as few lines as they take: none is divided."""
    lines = [f" {pieces[0]}"]
    for each in pieces[1:]:
        if cell_len(lines[-1]) + cell_len(between) + cell_len(each) <= width:
            lines[-1] += between + each
        else:
            lines[-1] += between.rstrip()
            lines.append(f" {each}")
    return [Text(line, style=style) for line in lines]


def _reach(cluster: Cluster) -> str:
    if cluster.members is None:
        return UNKNOWN
    if cluster.reachable == cluster.members:
        return str(cluster.members)
    return f"{cluster.reachable} of {cluster.members} reachable"


def _leads(cluster: Cluster, width: int) -> list[str]:
    label = "Coordinator: "
    if cluster.node is None:
        return [label + UNKNOWN]
    if cluster.coordinator is None:
        return [f"{label}none is known"]
    kind = "with a quorum" if cluster.quorum else "provisional: no majority is behind it"
    about = [f"term {cluster.term}", kind]
    rest = sum(len(each) + 2 for each in about)
    return [_with_name(label, cluster.coordinator, "", width, rest), *about]
