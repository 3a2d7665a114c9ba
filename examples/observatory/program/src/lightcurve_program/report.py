"""The report page: a table of all stars and a chart of each."""

from __future__ import annotations

from html import escape
from string import Template

from lightcurve import Star

from lightcurve_program.chart import draw_chart


def render_report(stars: list[Star], template: str) -> str:
    """Fill `$count`, `$rows` and `$charts` of the template."""
    return Template(template).substitute(
        count=sum(len(star.observations) for star in stars),
        rows="\n".join(_row(star) for star in stars),
        charts="\n".join(_section(star) for star in stars),
    )


def _row(star: Star) -> str:
    cells = (
        escape(star.name),
        star.kind,
        f"{star.period:.4f}",
        f"{star.amplitude:.2f}",
        str(len(star.observations)),
    )
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _section(star: Star) -> str:
    return (
        f"<h2>{escape(star.name)}</h2>\n"
        f"<p>{star.kind.capitalize()}, with a period of {star.period:.4f} days.</p>\n"
        f"{draw_chart(star)}"
    )
