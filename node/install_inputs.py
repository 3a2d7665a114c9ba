"""What an install is staged from: lock file and settings as they are, manifests as they matter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from buildnet.mesh.digest import Digest
from buildnet.node.source_file import SourceError
from buildnet.pool.detect.install_manifest import COMMAND_STUB, commands_of, manifest_for_install
from buildnet.pool.detect.manifest import MANIFEST
from buildnet.pool.tree import DirectoryTree, FileEntry, Leaf


class InstallInputs(NamedTuple):
    """The input tree of an install; ``made`` are the files in it that no workspace has."""

    tree: DirectoryTree
    made: Mapping[Digest, bytes]


class _Sources(NamedTuple):
    """A tree as a key: two of the same digest are one."""

    tree: DirectoryTree

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Sources) and self.tree.digest == other.tree.digest

    def __hash__(self) -> int:
        return hash(self.tree.digest)


def install_inputs(root: Path, sources: DirectoryTree) -> InstallInputs:
    """Return the inputs of an install from the files that it is declared to read.

    Manifests come without scripts and with a stub for each command that they offer, see
    :mod:`buildnet.pool.detect.install_manifest`. The answer follows from the digests in
    ``sources`` alone, so it is remembered.

    Raises:
        SourceError: a manifest changed since ``sources`` were read.
    """
    return _install_inputs(root, _Sources(sources))


@lru_cache(maxsize=16)
def _install_inputs(root: Path, sources: _Sources) -> InstallInputs:
    leaves = dict(sources.tree.leaves())
    made: dict[Digest, bytes] = {}
    commands: dict[str, None] = {}
    for path, leaf in list(leaves.items()):
        directory, _, name = path.rpartition("/")
        if name != MANIFEST or not isinstance(leaf, FileEntry):
            continue
        manifest = _manifest(root, path, leaf.digest)
        if manifest is None:
            continue
        data = manifest_for_install(manifest)
        made[Digest.of(data)] = data
        leaves[path] = FileEntry(Digest.of(data), leaf.executable)
        commands.update(dict.fromkeys(commands_of(directory, manifest)))
    stub = FileEntry(Digest.of(COMMAND_STUB), executable=True)
    for path in _free(commands, leaves):
        made[stub.digest] = COMMAND_STUB
        leaves[path] = stub
    return InstallInputs(DirectoryTree.from_paths(leaves), made)


def _manifest(root: Path, path: str, digest: Digest) -> dict[str, object] | None:
    """Return the object in a manifest; None if it is none, which the package manager will tell."""
    try:
        data = (root / path).read_bytes()
    except OSError as error:
        raise SourceError(f"{path} can't be read", cause=str(error)) from error
    if Digest.of(data) != digest:
        raise SourceError(f"{path} was changed while it was read", hint="build again")
    try:
        manifest = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    return manifest if isinstance(manifest, dict) else None


def _free(paths: Mapping[str, None], leaves: Mapping[str, Leaf]) -> list[str]:
    """Return those of ``paths`` at which a file can be added, none of them below another."""
    taken = set(leaves)
    directories = {above for path in leaves for above in _ancestors(path)}
    found: list[str] = []
    for path in paths:
        if path in taken or path in directories or not taken.isdisjoint(_ancestors(path)):
            continue
        taken.add(path)
        directories.update(_ancestors(path))
        found.append(path)
    return found


def _ancestors(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]
