"""Join strips, PGM files of one width, into one picture.

usage: join.py OUTPUT STRIP [STRIP ...]

The picture is a PNG whose pixels are not compressed: two versions of zlib need not compress to the
same bytes.
"""

from __future__ import annotations

import struct
import sys
import zlib
from pathlib import Path

PALETTE = bytes(
    min(255, channel)
    for shade in range(256)
    for channel in (5 * shade, 3 * shade, 40 + 2 * shade if shade else 0)
)
"""Red, green and blue of each shade: what never escapes is black, the rest from blue to white."""


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def main() -> None:
    output, *strips = (Path(argument) for argument in sys.argv[1:])
    rows: list[bytes] = []
    width = 0
    for strip in strips:
        header, _, pixels = strip.read_bytes().partition(b"\n")
        width = int(header.split()[1])
        rows += [pixels[start : start + width] for start in range(0, len(pixels), width)]
    scanlines = b"".join(b"\0" + row for row in rows)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, len(rows), 8, 3, 0, 0, 0))
        + chunk(b"PLTE", PALETTE)
        + chunk(b"IDAT", zlib.compress(scanlines, 0))
        + chunk(b"IEND", b"")
    )
    print(f"{output}: {width} x {len(rows)} pixels from {len(strips)} strips")


if __name__ == "__main__":
    main()
