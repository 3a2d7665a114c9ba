"""What of a workspace a build is about that is to build what a change affects."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from buildnet.node.git_changes import changes_since
from buildnet.pool.affected import Readers, affected_by
from buildnet.pool.graph import closure
from buildnet.pool.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Since:
    """What changed since ``revision``: ``changed`` files (None: everything may have) differ from
    the commit ``base``, where its history and HEAD's parted. ``affected``: names of packages, each
    with the reason; ``wanted``: those of them that were asked for and have the task."""

    revision: str
    base: str
    changed: int | None
    affected: tuple[tuple[str, str], ...]
    wanted: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form; field names are stable."""
        return {
            "revision": self.revision,
            "base": self.base,
            "changed_files": self.changed,
            "affected": [{"name": name, "why": why} for name, why in self.affected],
        }


async def since(workspace: Workspace, revision: str, packages: tuple[str, ...], task: str) -> Since:
    """Find out what a change affects; ``packages``: only of these, none: of all.

    Raises:
        NotFoundError: there is no such package, task or revision.
        NotARepositoryError: the workspace is in none.
        GitError: git did not answer.
    """
    closure(workspace, packages, task)
    named = frozenset(packages)
    found = await asyncio.to_thread(changes_since, workspace.root, revision)
    affected = affected_by(Readers(workspace), found.paths).packages
    return Since(
        revision,
        found.base,
        None if "" in found.paths else len(found.paths),
        tuple(affected.items()),
        tuple(
            name
            for name in affected
            if (name in named if named else task in workspace.packages[name].tasks)
        ),
    )
