"""Removing directories that commands have filled, whatever they did to them."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import stat
import subprocess
from pathlib import Path

logger = logging.getLogger(__name__)


def remove_tree(path: Path) -> None:
    """Remove a file, link or directory with all below it; nothing there is fine.

    Directories without write permission and trees deeper than a path may be long are removed too.

    Raises:
        OSError: something can't be removed (it belongs to someone else, or is on a read-only disk).
    """
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if not stat.S_ISDIR(mode):
        path.unlink()
        return
    try:
        shutil.rmtree(path)
    except (OSError, RecursionError):
        for command in (["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
            subprocess.run([*command, "--", path], capture_output=True, check=False)
        if os.path.lexists(path):
            shutil.rmtree(path)  # its error names what is in the way


def discard(path: Path) -> None:
    """Remove a directory, or move it aside (``<name>.undeletable-<n>``) if that is impossible."""
    try:
        remove_tree(path)
    except OSError as error:
        number = 0
        while os.path.lexists(aside := path.with_name(f"{path.name}.undeletable-{number}")):
            number += 1
        logger.warning("%s can't be removed, it is moved to %s: %s", path, aside.name, error)
        with contextlib.suppress(OSError):  # what needs the place will say so
            path.rename(aside)
