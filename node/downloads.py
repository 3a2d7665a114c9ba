"""What package managers downloaded, kept for the next install of the same workspace.

downloads/<isolation>-<manager>-<workspace>/   the manager's own cache

Each workspace has caches of its own: scripts of installed packages can write to them, and npm alone
compares what it finds there with the lock file; what one workspace's packages put there never
reaches another's. Levels do not share one either, for they may run as different users.
"""

from __future__ import annotations

import os
from pathlib import Path

from buildnet.node.execute.removal import discard


class Downloads:
    """The caches of one node, in ``directory``, which is made private when it is needed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def cache(self, isolation: str, manager: str, workspace_id: str) -> Path:
        """Return the cache of a manager for one workspace, made if it is missing."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory.chmod(0o700)
        place = self._directory / f"{isolation}-{manager}-{workspace_id}"
        place.mkdir(mode=0o700, exist_ok=True)
        os.utime(place)
        return place

    def prune(self, keep: int) -> None:
        """Remove all but the ``keep`` caches that were asked for last.

        Only for times when nothing is installed.
        """
        if not self._directory.is_dir():
            return
        caches = sorted(
            self._directory.iterdir(), key=lambda one: one.lstat().st_mtime_ns, reverse=True
        )
        for cache in caches[keep:]:
            discard(cache)
