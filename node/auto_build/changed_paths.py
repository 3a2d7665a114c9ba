"""From what a watcher tells to paths of which the packages that read them can be told. Blocks."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from buildnet.node.store.blobs import TEMPORARY_PREFIX
from buildnet.node.watch.dirty import Dirt
from buildnet.node.workspaces import OpenWorkspace
from buildnet.pool.glob import SKIPPED

MOST_FOUND = 2_000
"""Files of directories that came, were renamed or changed themselves; beyond, such a directory
counts as a whole."""


def changed_paths(opened: OpenWorkspace, dirt: Dirt) -> list[str]:
    """Return the paths that may have changed, as :mod:`buildnet.pool.affected` has them.

    What is in a directory is named file by file. Each is watched before it is read, or what comes
    into one that is empty now would be told to nobody. What is gone may have been a directory.
    """
    if dirt.everything:
        return [""]
    found: dict[str, None] = {}
    root = os.fspath(opened.definition.workspace.root)
    for path in sorted(dirt.paths):
        if any(name.startswith(TEMPORARY_PREFIX) for name in path.split("/")):
            continue  # of a delivery
        try:
            status = os.lstat(f"{root}/{path}")
        except OSError:
            found[f"{path}/"] = None
            continue
        if not stat.S_ISDIR(status.st_mode):
            found[path] = None
        elif SKIPPED.isdisjoint(path.split("/")):
            inside = list(_files_in(opened, root, path))
            found |= dict.fromkeys(inside if len(inside) <= MOST_FOUND else (f"{path}/",))
    return list(found)


def _files_in(opened: OpenWorkspace, root: str, top: str) -> Iterator[str]:
    waiting, count = [top], 0
    while waiting and count <= MOST_FOUND:
        directory = waiting.pop()
        opened.watch(directory)
        try:
            with os.scandir(f"{root}/{directory}") as entries:
                for entry in entries:
                    path = f"{directory}/{entry.name}"
                    if not entry.is_dir(follow_symlinks=False):
                        yield path
                    elif entry.name not in SKIPPED:
                        waiting.append(path)
                    count += 1
        except OSError:
            yield f"{directory}/"
