"""The workspaces of this host that others may build over the network: those that its owner built
here, and those that ``access.workspaces`` in node.yaml names. The rest of the host is closed: a
request with a key learns nothing of other directories, not even whether they are there."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from buildnet.mesh.errors import BuildNetError
from buildnet.pool.workspace import find_root

MOST_KEPT = 1000
_log = logging.getLogger("buildnet.node")


class WorkspaceClosedError(BuildNetError):
    """A directory is in no workspace that the owner of the host opened to others."""

    code = "WORKSPACE_CLOSED"
    exit_code = 4
    http_status = 403


class OpenedWorkspaces:
    """Kept in one small file of the data directory; ``file`` need not be there. ``named``: what
    node.yaml names."""

    def __init__(self, file: Path, named: Callable[[], Sequence[Path]]) -> None:
        self._file = file
        self._named = named
        self._roots = self._load()

    def opened(self, root: Path) -> None:
        """Take note that the owner of the host built a workspace."""
        if str(root) in self._roots:
            return
        roots = {**self._roots, str(root): None}
        self._keep(dict.fromkeys(list(roots)[-MOST_KEPT:]))

    def forget(self, root: Path) -> bool:
        """Close a workspace that the owner of the host built before; tell whether it was one. What
        node.yaml names stays open. Blocks."""
        roots = {each: None for each in self._roots if each != str(root)}
        if len(roots) == len(self._roots):
            return False
        self._keep(roots)
        return True

    def _keep(self, roots: dict[str, None]) -> None:
        self._roots = roots
        partial = self._file.with_name(f".{self._file.name}.part")
        try:
            partial.touch(0o600)
            partial.write_text(json.dumps(list(self._roots), indent=2), "utf-8")
            os.replace(partial, self._file)
        except (OSError, ValueError) as error:
            _log.warning(
                "%s can't be written: what agents may build is another at the next start: %s",
                self._file,
                error,
            )

    def roots(self) -> list[Path]:
        """Return the workspaces that are open and there, those that were opened last first, then
        those that are named. A directory is named for all that lies below it: only its own
        workspace is told. Blocks."""
        found: dict[Path, None] = {}
        for root in (*map(Path, reversed(self._roots)), *self._named()):
            with suppress(WorkspaceClosedError):
                # What is a workspace no more may lie in one that is closed.
                found[self._found(root)[1]] = None
        return list(found)

    def gone(self) -> list[Path]:
        """Return those that the owner of the host built before and that are no directory any more,
        the one that was opened last first. Blocks."""
        return [root for root in map(Path, reversed(self._roots)) if not root.is_dir()]

    def require(self, directory: Path) -> Path:
        """Return a directory as it really is called, if it is in a workspace that is open. Blocks.

        Raises:
            WorkspaceClosedError: it is not, or is not there.
        """
        return self._found(directory)[0]

    def _found(self, directory: Path) -> tuple[Path, Path]:
        """Return a directory as it really is called, and the root of its workspace."""
        try:
            here = directory.resolve()
            root = find_root(here)
            named = [path.resolve() for path in self._named()]
        except (OSError, ValueError, RuntimeError, BuildNetError):
            raise _closed() from None
        if str(root) in self._roots or any(root.is_relative_to(path) for path in named):
            return here, root
        raise _closed()

    def _load(self) -> dict[str, None]:
        try:
            kept = json.loads(self._file.read_text("utf-8"))
            return dict.fromkeys(root for root in kept if isinstance(root, str))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError) as error:
            _log.warning("%s can't be read, so no workspace is open: %s", self._file, error)
            return {}


def _closed() -> WorkspaceClosedError:
    return WorkspaceClosedError(  # whatever the directory is, and whether there is one
        "the directory is in no workspace that is open to others",
        hint="the owner of that host builds it there once, or names it in access.workspaces of "
        "node.yaml",
    )
