"""A file system that dates its files in whole seconds, as ext3 and some network shares do.

The kernel gives files on others ever finer dates, on which two changes never share one.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SIZE_BYTES = 256 << 20
_SMALL_INODES = ("-t", "ext2", "-I", "128", "-i", "4096", "-m", "0")


@contextmanager
def coarse_files(directory: Path) -> Iterator[Path | None]:
    """Mount one below ``directory`` for a while; None: only root can, with a loop device."""
    image, place = directory / "coarse.img", directory / "coarse"
    place.mkdir(parents=True)
    with image.open("wb") as file:
        file.truncate(_SIZE_BYTES)
    try:
        _run("mke2fs", "-q", "-F", *_SMALL_INODES, str(image))
        _run("mount", "-o", "loop,noatime", str(image), str(place))
    except (OSError, subprocess.CalledProcessError):
        yield None
        return
    try:
        yield place
    finally:
        _run("umount", "-l", str(place))


def _run(*command: str) -> None:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    subprocess.run(command, env={"PATH": path}, check=True, capture_output=True)
