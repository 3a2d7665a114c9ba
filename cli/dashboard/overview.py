"""The top of the dashboard: the cluster, its resources and its builds in a few lines."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from buildnet.cli.dashboard import words
from buildnet.cli.dashboard.screen import Cluster, Screen
from buildnet.cli.output import UNKNOWN

_LABEL = 11


def head(screen: Screen, width: int, *, said: str = "") -> list[Text]:
    """Return the lines about the cluster. ``said``: of the screen itself, such as that it is
    paused."""
    cluster = screen.cluster
    name = f" BUILDNET CLUSTER: {words.plain(cluster.name or UNKNOWN)}"
    right = Text("Status: ").append(
        cluster.status.upper(), style=f"bold {words.STATUS_STYLES.get(cluster.status, '')}"
    )
    first = _both(Text(name, style="bold"), right.append(" "), width)
    about = [
        f"Uptime: {words.span(cluster.uptime_s)}"
        + (f" (node {words.plain(cluster.node)})" if cluster.node else ""),
        f"Version: {cluster.version or UNKNOWN}",
        f"Nodes: {_reach(cluster)}",
    ]
    lines = [first, Text(f" {'   '.join(about)}"), Text(f" Coordinator: {_leads(cluster)}")]
    if screen.lost is not None:
        lines.append(Text(f" CONNECTION LOST: {words.plain(screen.lost)}", style="bold red"))
    if said:
        lines.append(Text(f" {said}", style="bold yellow"))
    for line in lines:
        line.no_wrap = True
        line.truncate(width, overflow="ellipsis")
    return lines


def resources(screen: Screen) -> tuple[str, str, list[Text]]:
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
        notes.append(f"cache: {words.plain(screen.cluster.node or 'the asked node')}")
    fields = {
        "Workers": workers,
        "CPU": cpu,
        "Memory": words.memory(has.memory_bytes),
        "Cache": cache,
    }
    return "Resources", ", ".join(notes), [_field(name, value) for name, value in fields.items()]


def builds(screen: Screen) -> tuple[str, str, list[Text]]:
    """Return title, age and lines of how many builds there are."""
    has = screen.builds
    queued = words.count(has.queued)
    if has.paused:
        queued += f", {has.paused} paused"
    more = has.at_least
    ended = f"{words.count(has.completed_last_hour, at_least=more)} (last hour)"
    failed = f"{words.count(has.failed_last_hour, at_least=more)} (last hour)"
    if has.cancelled_last_hour:
        failed += f", {has.cancelled_last_hour} cancelled"
    fields = {
        "Queued": f"{queued}; in progress: {words.count(has.in_progress)}",
        "Completed": ended,
        "Failed": failed,
        "Avg time": words.took(has.avg_build_time_s)
        if has.avg_build_time_s is not None
        else f"{UNKNOWN} (none ended)"
        if has.completed_last_hour is not None
        else UNKNOWN,
    }
    return "Builds", "", [_field(name, value) for name, value in fields.items()]


def beside(left: Sequence[Text], right: Sequence[Text], width: int) -> list[Text]:
    """Return two columns of lines as one, the first one as wide as it needs to be."""
    widest = max((line.cell_len for line in left), default=0) + 2
    half = max(width // 2, min(widest, width * 3 // 5))
    lines = []
    for one, other in zip(left, right, strict=True):
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


def _both(left: Text, right: Text, width: int) -> Text:
    left = left.copy()
    left.truncate(max(0, width - right.cell_len - 1), overflow="ellipsis", pad=True)
    return left.append(" ").append_text(right)


def _reach(cluster: Cluster) -> str:
    if cluster.members is None:
        return UNKNOWN
    if cluster.reachable == cluster.members:
        return str(cluster.members)
    return f"{cluster.reachable} of {cluster.members} reachable"


def _leads(cluster: Cluster) -> str:
    if cluster.node is None:
        return UNKNOWN
    if cluster.coordinator is None:
        return "none is known"
    kind = "with a quorum" if cluster.quorum else "provisional: no majority is behind it"
    return f"{words.plain(cluster.coordinator)}, term {cluster.term}, {kind}"
