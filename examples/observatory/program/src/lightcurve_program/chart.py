"""A light curve as an SVG drawing: every measurement a dot, the mean curve a line."""

from __future__ import annotations

import math

from lightcurve import Star

WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 12, 40
CYCLES = 2  # two cycles side by side show how the curve closes


def draw_chart(star: Star) -> str:
    """The whole `<svg>` element. Brighter is higher, as astronomers draw it."""
    points = star.folded
    tenths = range(
        math.floor(min(point.magnitude for point in points) * 10),
        math.ceil(max(point.magnitude for point in points) * 10) + 1,
    )
    brightest, faintest = tenths[0] / 10, tenths[-1] / 10

    def x(phase: float) -> str:
        return f"{LEFT + phase / CYCLES * (WIDTH - LEFT - RIGHT):.1f}"

    def y(magnitude: float) -> str:
        share = (magnitude - brightest) / (faintest - brightest)
        return f"{TOP + share * (HEIGHT - TOP - BOTTOM):.1f}"

    shapes = []
    for tenth in tenths[:: max(1, len(tenths) // 5)]:
        label, height = f"{tenth / 10:.1f}", y(tenth / 10)
        shapes += [
            f'<line x1="{x(0)}" x2="{x(CYCLES)}" y1="{height}" y2="{height}"/>',
            f'<text x="{LEFT - 8}" y="{height}" text-anchor="end">{label}</text>',
        ]
    for half in range(2 * CYCLES + 1):
        shapes.append(
            f'<text x="{x(half / 2)}" y="{HEIGHT - 22}" text-anchor="middle">{half / 2:.1f}</text>'
        )
    shapes.append(f'<text x="{x(CYCLES / 2)}" y="{HEIGHT - 6}" text-anchor="middle">phase</text>')

    for cycle in range(CYCLES):
        shapes += [
            f'<circle cx="{x(point.phase + cycle)}" cy="{y(point.magnitude)}" r="2"/>'
            for point in points
        ]
    curve = " ".join(
        f"{x(point.phase + cycle)},{y(point.magnitude)}"
        for cycle in range(CYCLES)
        for point in star.mean_curve()
    )
    shapes.append(f'<polyline points="{curve}"/>')
    body = "\n".join(shapes)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">\n{body}\n</svg>'
