"""Installed packages of other nodes' workspaces, unpacked here once and shown to their commands."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakValueDictionary

from google.protobuf.message import DecodeError

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.node.execute.limits import ActionLimits
from buildnet.node.execute.mounts import Mount
from buildnet.node.execute.trees import UnpackedTrees
from buildnet.node.store import Hold
from buildnet.pool.reapi import remote_execution_pb2 as reapi
from buildnet.pool.tree import DirectoryTree

_MODULES = "node_modules"
_MAX_MESSAGE_BYTES = 128 << 20
KEPT = 8
"""Trees that stay for the next commands; each is as large as a node_modules."""

Fetch = Callable[[Iterable[Digest], bytes, Hold], Awaitable[None]]
"""Gets blobs that are missing from the member with this key, and holds them."""


class TreeRefusedError(BuildNetError):
    """What another node calls installed packages can't be used here."""

    code = "TREE_REFUSED"


@dataclass(frozen=True, slots=True)
class GuestTrees:
    """See the module's text. A tree is known by the digest of its ``Tree`` message, so what one
    node says is installed never serves another that says otherwise. ``limits`` bound one tree,
    ``max_bytes`` all that nobody uses, of which :data:`KEPT` stay at most."""

    trees: UnpackedTrees
    fetch: Fetch
    limits: ActionLimits
    max_bytes: int | None = None
    _unpacked: set[Digest] = field(default_factory=set)
    """By this, since the node started. Those of its own builds are in the same place, and have to
    stay while these run."""
    _unpacking: WeakValueDictionary[Digest, asyncio.Lock] = field(
        default_factory=WeakValueDictionary
    )

    @asynccontextmanager
    async def shown(
        self, tree: Digest, holder: bytes, hold: Hold, owner: int | None
    ) -> AsyncIterator[tuple[Mount, ...]]:
        """Give the mounts of a tree, which stays until the context ends; what is missing of it is
        fetched from ``holder``. ``owner``: see :meth:`UnpackedTrees.ensure`.

        Raises:
            TreeRefusedError: it is none, or too large.
            BuildNetError: it can't be fetched or unpacked.
        """
        with self.trees.using(tree):
            turn = self._unpacking.setdefault(tree, asyncio.Lock())
            async with turn:
                place = await asyncio.to_thread(self.trees.find, tree)
                if place is None:
                    place = await self._unpack(tree, holder, hold, owner)
            modules = await asyncio.to_thread(_modules, place)
            yield tuple(Mount(path, place / path) for path in modules)

    async def _unpack(self, tree: Digest, holder: bytes, hold: Hold, owner: int | None) -> Path:
        if tree.size_bytes > _MAX_MESSAGE_BYTES:
            raise TreeRefusedError("the list of installed packages is too large")
        await self.fetch((tree,), holder, hold)
        found = await asyncio.to_thread(self._read, tree, hold)
        await self.fetch(found.files(), holder, hold)
        place = await asyncio.to_thread(self.trees.ensure, tree, found, hold, owner)
        self._unpacked.add(tree)
        await asyncio.to_thread(self.trees.prune, KEPT, self.max_bytes, tuple(self._unpacked))
        self._unpacked.intersection_update(
            [each for each in self._unpacked if self.trees.has(each)]
        )
        return place

    def _read(self, tree: Digest, hold: Hold) -> DirectoryTree:
        try:
            message = reapi.Tree.FromString(hold.get(tree))
            found = DirectoryTree.from_tree_message(message)
        except (DecodeError, ValueError) as error:
            raise TreeRefusedError("the installed packages can't be read", cause=str(error)) from (
                error
            )
        files, limits = found.files(), self.limits
        size_bytes = sum(file.size_bytes for file in files)
        if len(files) > limits.files or size_bytes > limits.disk_bytes:
            raise TreeRefusedError(
                f"the installed packages are more than this node takes: {len(files):,} files, "
                f"{size_bytes:,} bytes",
                hint="its owner raises workers.disk in node.yaml",
            )
        return found


def _modules(place: Path, at: str = "") -> list[str]:
    """Return where the topmost directories called ``node_modules`` lie in an unpacked tree."""
    found: list[str] = []
    with os.scandir(place / at) as entries:
        for entry in sorted(entries, key=lambda each: each.name):
            if not entry.is_dir(follow_symlinks=False):
                continue
            path = f"{at}/{entry.name}".lstrip("/")
            found += [path] if entry.name == _MODULES else _modules(place, path)
    return found
