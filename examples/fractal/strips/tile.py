"""Compute one strip of a picture of the Mandelbrot set.

usage: tile.py NUMBER COUNT OUTPUT

The picture is cut into COUNT strips; NUMBER (from 1) is computed, as a PGM file: one byte a pixel,
how soon the point escapes.
"""

from __future__ import annotations

import sys
from pathlib import Path

WIDTH, HEIGHT = 1500, 1200
LEFT, RIGHT, TOP, BOTTOM = -2.25, 0.75, 1.2, -1.2
LIMIT = 250


def escape(real: float, imaginary: float) -> int:
    """Return after how many steps of z -> z² + c the point c is known to escape; 0: it is not."""
    x = y = 0.0
    for step in range(1, LIMIT):
        x, y = x * x - y * y + real, 2 * x * y + imaginary
        if x * x + y * y > 4:
            return step
    return 0


def main() -> None:
    number, count, output = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    rows = range((number - 1) * HEIGHT // count, number * HEIGHT // count)
    pixels = bytearray()
    for row in rows:
        imaginary = TOP + (BOTTOM - TOP) * row / HEIGHT
        for column in range(WIDTH):
            pixels.append(escape(LEFT + (RIGHT - LEFT) * column / WIDTH, imaginary))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(b"P5 %d %d 255\n" % (WIDTH, len(rows)) + pixels)
    print(f"rows {rows.start + 1} to {rows.stop}")


if __name__ == "__main__":
    main()
