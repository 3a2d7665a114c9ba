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
        _remove_directory(os.fspath(path))
    except (OSError, RecursionError):
        for command in (["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
            subprocess.run([*command, "--", path], capture_output=True, check=False)
        if os.path.lexists(path):
            shutil.rmtree(path)  # its error names what is in the way


def _remove_directory(path: str) -> None:
    """Remove a directory by paths: nothing runs in it any more that could swap them meanwhile, and
    it takes half the time of ``shutil.rmtree``."""
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                _remove_directory(entry.path)
            else:
                os.unlink(entry.path)
    os.rmdir(path)


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
