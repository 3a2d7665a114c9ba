"""Installing the dependencies of a node's workspaces: what all installs share.

trees/       what was installed, see :mod:`buildnet.node.execute.trees`
downloads/   caches of package managers, see :mod:`buildnet.node.downloads`
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from weakref import WeakValueDictionary

from buildnet.node.config import InstallSettings
from buildnet.node.dependencies import InstalledDependencies
from buildnet.node.downloads import Downloads
from buildnet.node.execute.isolation import Isolation
from buildnet.node.execute.trees import UnpackedTrees
from buildnet.node.installed_tree import TakenIn
from buildnet.node.sources import Sources
from buildnet.node.toolchain import Toolchain
from buildnet.pool.workspace import Workspace

KEPT = 8
"""Installed trees and caches that stay for the next builds; each is as large as a node_modules."""


class Installs:
    """The installs of one node, in its data directory; ``settings`` are its owner's; ``trees``
    are those that are unpacked, also for commands of other nodes; ``max_bytes`` bounds them."""

    def __init__(
        self,
        directory: Path,
        toolchain: Toolchain,
        settings: InstallSettings,
        max_bytes: int | None = None,
    ) -> None:
        self._max_bytes = max_bytes
        self._toolchain = toolchain
        self._settings = settings
        self.trees = UnpackedTrees(directory / "trees")
        self._taken_in = TakenIn()
        self._downloads = Downloads(directory / "downloads")
        self._installing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(
        self,
        workspace: Workspace,
        workspace_id: str,
        reader: Sources,
        inherited: Mapping[str, str],
        isolation: Isolation,
        *,
        is_own: bool = True,
    ) -> InstalledDependencies | None:
        """Return the dependencies of one build; None: nothing is installed for this workspace.
        ``is_own``: else it is a workspace of another node, whose install sees no settings of this
        node's owner, and whose ``inherited`` variables name no file to be shown to it."""
        if workspace.install is None:
            return None
        installing = self._installing.setdefault(workspace_id, asyncio.Lock())
        return InstalledDependencies(
            install_spec=workspace.install,
            root=workspace.root,
            reader=reader,
            toolchain=self._toolchain,
            trees=self.trees,
            isolation=isolation,
            inherited=inherited if is_own else {},
            downloads=self._downloads,
            workspace_id=workspace_id,
            settings=self._settings if is_own else InstallSettings(),
            taken_in=self._taken_in,
            installing=installing,
        )

    def prune(self, keep: int) -> int:
        """Remove all but the ``keep`` trees and caches that were used last; return how many trees
        went. Only for times when no action runs. Blocks."""
        self._downloads.prune(keep)
        return self.trees.prune(keep, self._max_bytes)
