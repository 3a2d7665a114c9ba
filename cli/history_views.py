"""What ``buildnet history`` shows of builds besides their packages: timelines, reviews, comparisons
and trends."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from buildnet.cli.output import Listing, age_text, duration_text, escaped, printable
from buildnet.pool.recorded import RecordedBuild, RecordedTask
from buildnet.pool.timeline import EXECUTION, LOOKUP, QUEUE, RESTORE, STAGING, TRANSFER, UPLOAD

if TYPE_CHECKING:
    from rich.console import Console

_MARKS = {
    LOOKUP: ("·", "dim"),
    RESTORE: ("▪", "cyan"),
    QUEUE: ("░", "dim"),
    TRANSFER: ("▒", "yellow"),
    STAGING: ("▒", "cyan"),
    EXECUTION: ("█", "green"),
    UPLOAD: ("▓", "cyan"),
}
"""How the parts of a task look in a bar; of those in one character the one that took longest."""
_OTHER = ("▒", "dim")
"""A part that only a later version of the node knows."""
_MOST_BARS = 40
_LEAST_BAR = 10
_MOST_NAME = 28
_TOOK = 9
_MOST_STEPS = 12
_MOST_ROWS = 30
_SPARKS = "▁▂▃▄▅▆▇█"


def print_timeline(console: Console, build: RecordedBuild) -> None:
    """Print a bar for each task that took time, as wide as the terminal allows."""
    shown = build.in_shards().measured
    if not shown:
        return
    left_out = max(0, len(shown) - _MOST_BARS)
    if left_out:
        longest = sorted(shown, key=lambda task: -(task.ended_ns - task.began_ns))[:_MOST_BARS]
        shown = sorted(longest, key=lambda task: (task.began_ns, task.name))
    began_ns = min(task.began_ns for task in shown)
    ended_ns = max(task.ended_ns for task in shown)
    named = max(len(task.name) for task in shown)
    width = min(console.width, 120)
    name_width = min(named, _MOST_NAME, max(8, width // 3))
    bar_width = width - name_width - _TOOK - 2
    console.print(f"[bold]timeline[/bold], {duration_text((ended_ns - began_ns) / 1e6)}")
    for task in shown:
        name = _shortened(printable(task.name), name_width).ljust(name_width)
        took = duration_text((task.ended_ns - task.began_ns) / 1e6)
        line = f"{escaped(name)} {took:>{_TOOK}}"
        if bar_width >= _LEAST_BAR:
            line += " " + bar(task, began_ns, ended_ns, bar_width)
        console.print(line, soft_wrap=True)
    if bar_width >= _LEAST_BAR:
        marks = "  ".join(f"[{color}]{mark}[/{color}] {name}" for name, (mark, color) in _legend())
        console.print(marks)
    if left_out:
        console.print(f"… {left_out} more that took less: --json, or --trace FILE", style="dim")


def _legend() -> Iterable[tuple[str, tuple[str, str]]]:
    return _MARKS.items()


def bar(task: RecordedTask, began_ns: int, ended_ns: int, width: int) -> str:
    """Return a task's parts between two times as so many characters of rich's markup."""
    timeline, per_ns = task.timeline, max(1, ended_ns - began_ns) / width
    if timeline is None:
        return ""
    cells: list[dict[str, float]] = [{} for _ in range(width)]
    for part in timeline.parts:
        start = (timeline.began_ns + part.at_us * 1000 - began_ns) / per_ns
        end = start + part.took_us * 1000 / per_ns
        for at in range(max(0, int(start)), min(width, int(end) + 1)):
            share = min(end, at + 1) - max(start, at)
            if share > 0 or (part.took_us and int(start) == at):
                cells[at][part.name] = cells[at].get(part.name, 0.0) + max(share, 1e-9)
    drawn = ""
    for cell in cells:
        longest = max(cell, key=lambda name: cell[name], default=None)
        if longest is None:
            drawn += " "
        else:
            mark, color = _MARKS.get(longest, _OTHER)
            drawn += f"[{color}]{mark}[/{color}]"
    return drawn.rstrip()


def print_path_and_savings(console: Console, review: dict[str, Any]) -> None:
    """Print in a few lines what a build's time hung on, and what was saved."""
    path = review["critical_path"]
    if path["steps"]:
        names = " → ".join(_path_names(path["steps"]))
        share = "" if path["share"] is None else f", {path['share']:.0%} of it work"
        console.print(
            f"[bold]critical path[/bold] {duration_text(path['ms'])}{share}: {escaped(names)}"
        )
    saved = review["savings"]
    if saved["tasks"]:
        unknown = f" (of {saved['unknown']} it is not known)" if saved["unknown"] else ""
        count = saved["tasks"]
        those = "1 result that was" if count == 1 else f"{count} results that were"
        console.print(
            f"[bold]saved[/bold] {those} there: their commands ran "
            f"{duration_text(saved['executed_ms'])} where they were made{unknown}; "
            f"{duration_text(saved['spent_ms'])} went into finding and restoring them"
        )


def _path_names(steps: Sequence[dict[str, Any]]) -> list[str]:
    names = [str(step["task"]) for step in steps]
    if len(names) > _MOST_STEPS:
        half = _MOST_STEPS // 2
        names = [*names[:half], f"… {len(names) - 2 * half} more …", *names[-half:]]
    return names


def print_review(console: Console, review: dict[str, Any]) -> None:
    """Print what a build can be learned from."""
    console.print(
        f"[bold]review[/bold] of build {review['build_id']} of {escaped(review['workspace'])}"
    )
    phases = {k.removesuffix("_ms"): ms for k, ms in (review["phases"] or {}).items()}
    told = [f"{name} {duration_text(ms)}" for name, ms in phases.items() if ms is not None]
    if told:
        console.print(f"[bold]phases[/bold] {', '.join(told)}")
    _print_steps(console, review["critical_path"]["steps"])
    print_path_and_savings(console, review)
    _print_missed(console, review)
    for finding in review["findings"]:
        saves = finding["saves_ms"]
        most = "" if saves is None else f" (at most {duration_text(saves)})"
        console.print(f"[yellow]•[/yellow] {escaped(finding['text'])}{most}")
        console.print(f"  [cyan]hint:[/cyan] {escaped(finding['hint'])}")
    if not review["findings"]:
        console.print("nothing else that another configuration would save was measured")


def _print_steps(console: Console, steps: Sequence[dict[str, Any]]) -> None:
    if not steps:
        console.print("nothing was measured: all stood as before")
        return
    table = Listing(
        "on the critical path",
        "work",
        "share",
        "waited",
        right=("work", "share", "waited"),
        spare=("waited", "share"),
    )
    for step in sorted(steps, key=lambda each: -each["work_ms"])[:_MOST_STEPS]:
        waited_ms = step["waited_ms"] + step["before_ms"]
        table.add_row(
            escaped(step["task"]),
            duration_text(step["work_ms"]),
            _percent(step["share"]),
            duration_text(waited_ms),
        )
    table.print(console)


def _print_missed(console: Console, review: dict[str, Any]) -> None:
    if not review["missed"]:
        return
    table = Listing("had to run", "ran", "why", right=("ran",), wraps=("why",), spare=("ran",))
    for missed in review["missed"][:_MOST_ROWS]:
        ran = missed["executed_ms"]
        why = list(missed["reasons"])
        if missed["nearest"]:
            why.append(f"nearest result in the cache: {', '.join(missed['nearest'])}")
        table.add_row(
            escaped(missed["task"]),
            "" if ran is None else duration_text(ran),
            escaped("\n".join(why)),
        )
    table.print(console)
    more = review["missed_count"] - min(len(review["missed"]), _MOST_ROWS)
    if more > 0:
        console.print(f"… {more} more: --json", style="dim")


def print_comparison(console: Console, found: dict[str, Any]) -> None:
    """Print what differs between two builds."""
    for side in ("before", "after"):
        build = found[side]
        took = "" if build["duration_ms"] is None else f" in {duration_text(build['duration_ms'])}"
        console.print(
            f"[bold]{side:<6}[/bold] build {build['build_id']} of {escaped(build['workspace'])}: "
            f"{build['status']}{took}"
        )
    table = Listing(
        "package",
        "before",
        "after",
        "difference",
        "why",
        right=("before", "after", "difference"),
        wraps=("why",),
        spare=("before", "after"),
    )
    differing = [task for task in found["tasks"] if _differs(task)]
    for task in differing[:_MOST_ROWS]:
        table.add_row(
            escaped(task["task"]),
            _side(task["before"]),
            _side(task["after"]),
            _difference(task["difference_ms"]),
            escaped(_why(task)),
        )
    if not differing:
        console.print("every task came the same way, from the same key, in about the same time")
        return
    table.print(console)
    if len(differing) > _MOST_ROWS:
        console.print(f"… {len(differing) - _MOST_ROWS} more: --json", style="dim")


def _differs(task: dict[str, Any]) -> bool:
    if task["before"] is None or task["after"] is None or task["other_key"] or task["other_tier"]:
        return True
    least_ms = max(10.0, 0.1 * max(task["before"]["work_ms"], task["after"]["work_ms"]))
    return bool(abs(task["difference_ms"]) >= least_ms)


def _side(side: dict[str, Any] | None) -> str:
    return "not in it" if side is None else duration_text(side["work_ms"])


def _difference(ms: float | None) -> str:
    if ms is None:
        return ""
    return f"{'+' if ms >= 0 else '-'}{duration_text(abs(ms))}"


def _why(task: dict[str, Any]) -> str:
    before, after = task["before"], task["after"]
    if before is None or after is None:
        return ""
    said = []
    if task["other_tier"]:
        said.append(f"{_came(before)} → {_came(after)}")
    if before["node"] != after["node"]:
        said.append(f"on {after['node_name'] or 'this node'}")
    if task["other_key"]:
        said += task["changes"] or ["another key (what it was made of is not known any more)"]
    return "\n".join(said[:6])


def _came(side: dict[str, Any]) -> str:
    is_result = side["status"] not in ("failed", "cancelled")
    return str((is_result and side["tier"]) or side["status"])


def print_trends(console: Console, found: dict[str, Any]) -> None:
    """Print how tasks fared over many builds."""
    if not found["tasks"]:
        of = " in ".join(each for each in (found["package"], found["workspace"]) if each)
        console.print(escaped(f"no build here tells of {of}" if of else "no builds here"))
        return
    overall = found["overall"]
    rate = overall["hit_rate"]
    console.print(
        f"[bold]{escaped(found['workspace'])}[/bold], {found['builds']} builds in which something "
        f"was looked at: {_percent(rate)} of {overall['there'] + overall['ran']} results were "
        f"there, {overall['failed']} failed"
    )
    table = Listing(
        "package",
        "ran",
        "there",
        "failed",
        "p50",
        "p90",
        "last ones",
        right=("ran", "there", "failed", "p50", "p90"),
        spare=("failed", "there", "last ones", "p90"),
    )
    for task in found["tasks"][:_MOST_ROWS]:
        table.add_row(
            escaped(task["task"]),
            str(task["ran"]),
            _percent(task["hit_rate"]),
            str(task["failed"]),
            "" if task["p50_ms"] is None else duration_text(task["p50_ms"]),
            "" if task["p90_ms"] is None else duration_text(task["p90_ms"]),
            sparkline([point["executed_ms"] for point in task["points"]][-20:]),
        )
    table.print(console)
    if len(found["tasks"]) > _MOST_ROWS:
        console.print(f"… {len(found['tasks']) - _MOST_ROWS} more: --json", style="dim")


def sparkline(values: Sequence[float]) -> str:
    """Return a character for each value, the higher the larger it is of all."""
    most = max(values, default=0.0)
    if most <= 0:
        return _SPARKS[0] * len(values)
    steps = len(_SPARKS) - 1
    return "".join(_SPARKS[round(max(0.0, value) / most * steps)] for value in values)


def _percent(rate: float | None) -> str:
    return "" if rate is None else f"{rate:.0%}"


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def in_short(report: dict[str, Any]) -> list[str]:
    """Return a line or two of what a build's time hung on, for its end."""
    from buildnet.pool.review import review

    found = review(RecordedBuild.from_dict(report))
    lines = []
    if found.path:
        names = " → ".join(_path_names([step.as_dict() for step in found.path]))
        lines.append(f"critical path {duration_text(found.path_ms)}: {names}")
    best = next((each for each in found.findings if each.saves_ms), None)
    if best is not None:
        lines.append(
            f"{best.text} (at most {duration_text(best.saves_ms)}): "
            f"buildnet history {found.build.id[:12]} --review"
        )
    return lines


def print_flaky(console: Console, data: dict[str, Any]) -> None:
    """Print which tests failed and passed in runs of the same action."""
    table = Listing(
        "test",
        "task",
        "workspace",
        "times",
        "last",
        "on",
        right=("times",),
        spare=("workspace", "on"),
    )
    now = time.time()
    for each in data["flaky"]:
        table.add_row(
            escaped(each["name"] or "(the command)"),
            escaped(each["task"]),
            escaped(each["workspace"]),
            str(each["count"]),
            age_text(now - each["last_at"]),
            escaped(each["node"] or ""),
        )
    if data["flaky"]:
        table.print(console)
        if data["next"] is not None:
            console.print(f"more: buildnet history --flaky --cursor {escaped(data['next'])}")
    else:
        console.print("no test came out differently on the same inputs")
