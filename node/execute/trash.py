"""Directories that can go when there is time for it.

Removing what an action leaves takes as long as making it, and file systems are slow to make files
while others are being removed. So stages are moved aside at once and removed after the build.
"""

from __future__ import annotations

import itertools
import os
import shutil
import threading
from pathlib import Path

from buildnet.node.execute.removal import discard

HELD_MAX = 512
"""So many directories are held back; what comes beyond is removed at once."""

FREE_MIN_BYTES = 2 << 30
"""With less than this free on the volume everything is removed at once."""


class Trash:
    """Holds back removals. Thread-safe."""

    def __init__(self, directory: Path) -> None:
        """Use ``directory``, on the file system of what will be thrown away."""
        self._directory = directory
        self._numbers = itertools.count()
        self._held: list[str] = []
        self._lock = threading.Lock()
        directory.mkdir(parents=True, exist_ok=True)

    def throw(self, path: Path) -> None:
        """Take ``path`` out of the way at once; nothing there is fine."""
        if len(self._held) >= HELD_MAX or shutil.disk_usage(self._directory).free < FREE_MIN_BYTES:
            discard(path)
            return
        place = f"{self._directory}/{next(self._numbers)}"
        try:
            os.rename(path, place)
        except FileNotFoundError:
            return
        except OSError:  # a command took our right to move it
            discard(path)
            return
        with self._lock:
            self._held.append(place)

    def empty(self) -> None:
        """Remove what is held back."""
        while True:
            with self._lock:
                if not self._held:
                    return
                path = self._held.pop()
            discard(Path(path))
