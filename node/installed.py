"""Was an installed ``node_modules`` changed by hand?

Results depend on what the lock file names, not on what somebody tried out in ``node_modules``; a
tree that was edited, patched or linked after its installation must not serve as if it were that.
Package managers write a note when they are done; whatever is younger than the note came later.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from buildnet.node.execute.mounts import CACHES

NOTES = (".package-lock.json", ".modules.yaml", ".yarn-integrity", ".yarn-state.yml")
# Package managers still write a little after their note.
_AFTER_NOTE_NS = 10_000_000_000


def changed_by_hand(root: Path, members: Iterable[str]) -> str | None:
    """Return a path below ``root`` that is younger than the installation, or None.

    ``members`` are the directories that may hold a ``node_modules``. Looks at every file (a second
    for 200,000), but not at what it holds. Without a note the tree counts as changed.
    """
    notes = [root / "node_modules" / name for name in NOTES]
    written_ns = [note.lstat().st_mtime_ns for note in notes if note.is_file()]
    if not written_ns:
        return "node_modules"
    latest_ns = max(written_ns) + _AFTER_NOTE_NS
    for member in members:
        found = _younger(str(root / member / "node_modules"), latest_ns)
        if found is not None:
            return os.path.relpath(found, root)
    return None


def _younger(top: str, latest_ns: int) -> str | None:
    waiting = [top]
    while waiting:
        directory = waiting.pop()
        try:
            entries = os.scandir(directory)
        except FileNotFoundError:
            continue
        with entries:
            for entry in entries:
                if directory == top and (entry.name in CACHES or entry.name in NOTES):
                    continue
                try:
                    changed_ns = entry.stat(follow_symlinks=False).st_mtime_ns
                except FileNotFoundError:
                    return entry.path  # somebody changes it now
                if changed_ns > latest_ns:
                    return entry.path
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
    return None
