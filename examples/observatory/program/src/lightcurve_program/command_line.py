"""Commands: `summary` prints a table, `report` writes a page with charts."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lightcurve import Star, read_stars

from lightcurve_program.report import render_report


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lightcurve", description="Find the periods of variable stars."
    )
    commands = parser.add_subparsers(dest="command", required=True)

    summary = commands.add_parser("summary", help="print one line per star")
    summary.add_argument("observations", type=Path, help="a CSV table of observations")

    report = commands.add_parser("report", help="write an HTML page with the light curves")
    report.add_argument("observations", type=Path, help="a CSV table of observations")
    report.add_argument("--template", type=Path, required=True, help="the page to fill in")
    report.add_argument("--output", type=Path, required=True, help="where to write the page")
    return parser


def summary(stars: list[Star]) -> str:
    lines = [f"{'star':<14}{'observations':>12}{'period (days)':>16}{'amplitude':>12}  kind"]
    for star in stars:
        lines.append(
            f"{star.name:<14}{len(star.observations):>12}{star.period:>16.4f}"
            f"{star.amplitude:>12.2f}  {star.kind}"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    arguments = parser().parse_args()
    with arguments.observations.open(newline="", encoding="utf-8") as file:
        stars = read_stars(file)
    if arguments.command == "summary":
        sys.stdout.write(summary(stars))
    else:
        page = render_report(stars, arguments.template.read_text("utf-8"))
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(page, "utf-8")
    return 0
