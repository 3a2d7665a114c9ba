"""Which files git tracks."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_TIMEOUT_S = 30.0


def tracked_files(root: Path) -> list[str]:
    """Return the paths of the files below ``root`` that git tracks; none: no git, or no repository.

    A monitor that the repository's configuration names is a program of whoever wrote that, and is
    not run.
    """
    command = ["git", "-c", "core.fsmonitor=false", "-C", str(root), "ls-files", "-z"]
    try:
        listed = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [name for name in os.fsdecode(listed).split("\0") if name]
