"""What benchmarks measured: percentiles against goals, as a table and as JSON."""

from __future__ import annotations

import json
import math
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

psutil.cpu_percent()  # starts its clock


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing that was measured, once or many times, and the goals for it (at most so much).

    ``processor_ms`` is the processor time of one run, where that was measured. ``note`` says why
    there are no values, or what else is to know.
    """

    name: str
    values: tuple[float, ...]
    unit: str
    goal_p50: float | None = None
    goal_p99: float | None = None
    processor_ms: float | None = None
    note: str = ""

    @property
    def p50(self) -> float:
        """The median."""
        return percentile(self.values, 0.5)

    @property
    def p99(self) -> float:
        """The 99th percentile: the worst one where there are fewer than a hundred."""
        return percentile(self.values, 0.99)

    @property
    def reached(self) -> bool | None:
        """Whether the goals are reached; None without goals."""
        if not self.values or (self.goal_p50 is None and self.goal_p99 is None):
            return None
        return all(
            goal is None or value <= goal
            for goal, value in ((self.goal_p50, self.p50), (self.goal_p99, self.p99))
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON of the figure."""
        return {
            "name": self.name,
            "unit": self.unit,
            "runs": len(self.values),
            "p50": self.p50 if self.values else None,
            "p99": self.p99 if self.values else None,
            "goal_p50": self.goal_p50,
            "goal_p99": self.goal_p99,
            "reached": self.reached,
            "values": list(self.values),
            "processor_ms": self.processor_ms,
            "note": self.note,
        }


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that ``share`` of ``values`` does not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def report(title: str, figures: Sequence[Figure], file: Path | None) -> None:
    """Print the figures as a table, and write them with the machine's state to ``file``."""
    table = Table("figure", "runs", "p50", "p99", "unit", "goal", "reached", title=title)
    has_processor = any(figure.processor_ms is not None for figure in figures)
    if has_processor:
        table.add_column("cpu ms")
    for figure in figures:
        goals = ((figure.goal_p50, "p50"), (figure.goal_p99, "p99"))
        goal = ", ".join(f"{name} ≤ {value:g}" for value, name in goals if value is not None)
        used = figure.processor_ms
        table.add_row(
            f"{figure.name} ({figure.note})" if figure.note else figure.name,
            str(len(figure.values)),
            f"{figure.p50:,.3g}" if figure.values else "–",
            f"{figure.p99:,.3g}" if figure.values else "–",
            figure.unit,
            goal,
            {None: "", True: "yes", False: "NO"}[figure.reached],
            *((f"{used:,.3g}" if used is not None else "",) if has_processor else ()),
        )
    Console(width=None if sys.stdout.isatty() else 130).print(table)
    busy = psutil.cpu_percent()  # since this module was imported
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    print(
        f"{os.cpu_count()} cores, busy {busy:.0f} % of the time, by whatever ran beside it too; "
        f"load average {load}"
    )
    if file is not None:
        data = {
            "title": title,
            "machine": {
                "cores": os.cpu_count(),
                "busy_percent": busy,
                "load_average": os.getloadavg(),
                "system": platform.platform(),
                "python": platform.python_version(),
            },
            "figures": [figure.as_dict() for figure in figures],
        }
        file.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n")
