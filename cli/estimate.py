"""``buildnet build --estimate``: how long a build would take. And how that is said in words."""

from __future__ import annotations

import sys

from buildnet.cli.build_report import task_name
from buildnet.cli.building import BuildOptions, request_of
from buildnet.cli.client import Client
from buildnet.cli.output import duration_text
from buildnet.cli.settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rich.console import Console


def estimate(options: BuildOptions, settings: Settings, client: Client) -> int:
    """Ask how long a build would take and print it; return the exit code."""
    from buildnet.cli.output import show

    found = client.post("/api/build/estimate", request_of(options, client))
    show(settings, found, lambda console: _print(console, found), ids=[])
    for problem in found["problems"]:
        print(f"{task_name(problem)} would fail: {problem['message']}", file=sys.stderr)
    return 0


def _print(console: Console, found: dict[str, Any]) -> None:
    from buildnet.cli.output import Listing, escaped

    if not found["packages"]:
        console.print(f"nothing to do: {found['unchanged']} up to date")
        return
    for line in in_words(found):
        console.print(line)
    table = Listing(
        "package",
        "plan",
        "takes",
        "begins",
        "node",
        "measured",
        right=("takes", "begins", "measured"),
        spare=("measured", "begins", "node"),
    )
    plans = {"run": "run", "restore": "from the cache", "depends": "run, if needed", "nothing": ""}
    for each in found["packages"]:
        table.add_row(
            escaped(task_name(each)),
            plans[each["plan"]],
            _about(each["estimated_ms"]),
            _about(each["begins_ms"]),
            escaped(each["node"] or ""),
            f"{each['measured']} ×" if each["measured"] else "never",
        )
    table.print(console)


def in_words(found: dict[str, Any]) -> list[str]:
    """Return the lines of section 9.2 of the distributed plan."""
    if found["estimated_ms"] is None:
        return ["Estimated time: unknown, for none of these commands ever ran"]
    low, high = found["interval_ms"]
    lines = [
        f"Estimated time: ~{duration_text(found['estimated_ms'])} "
        f"({found['confidence_level']} confidence; "
        f"four times of five {duration_text(low)} to {duration_text(high)})"
    ]
    if found["parallelization_factor"] is not None:
        lines.append(f"Parallelization: {found['parallelization_factor']:.1f}x speedup")
    if found["network_overhead_ms"] is not None:
        lines.append(f"Network overhead: {duration_text(found['network_overhead_ms'])}")
    return lines


def _about(milliseconds: float | None) -> str:
    return "?" if milliseconds is None else duration_text(milliseconds)
