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
    """One thing that was measured, once or many times, and the goals for it (at most so much)."""

    name: str
    values: tuple[float, ...]
    unit: str
    goal_p50: float | None = None
    goal_p99: float | None = None

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
        if self.goal_p50 is None and self.goal_p99 is None:
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
            "p50": self.p50,
            "p99": self.p99,
            "goal_p50": self.goal_p50,
            "goal_p99": self.goal_p99,
            "reached": self.reached,
            "values": list(self.values),
        }


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that ``share`` of ``values`` does not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def report(title: str, figures: Sequence[Figure], file: Path | None) -> None:
    """Print the figures as a table, and write them with the machine's state to ``file``."""
    table = Table("figure", "runs", "p50", "p99", "unit", "goal", "reached", title=title)
    for figure in figures:
        goals = ((figure.goal_p50, "p50"), (figure.goal_p99, "p99"))
        goal = ", ".join(f"{name} ≤ {value:g}" for value, name in goals if value is not None)
        table.add_row(
            figure.name,
            str(len(figure.values)),
            f"{figure.p50:,.3g}",
            f"{figure.p99:,.3g}",
            figure.unit,
            goal,
            {None: "", True: "yes", False: "NO"}[figure.reached],
        )
    Console(width=None if sys.stdout.isatty() else 130).print(table)
    busy = psutil.cpu_percent()  # since this module was imported
    print(f"{os.cpu_count()} cores, busy {busy:.0f} % of the time, by whatever ran beside it too")
    if file is not None:
        data = {
            "title": title,
            "machine": {
                "cores": os.cpu_count(),
                "busy_percent": busy,
                "system": platform.platform(),
                "python": platform.python_version(),
            },
            "figures": [figure.as_dict() for figure in figures],
        }
        file.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n")
