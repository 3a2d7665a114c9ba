"""Directory trees: immutable, shared by reference, digested as the Remote Execution API does.

A tree is what an action reads and what it leaves behind. Merging trees reuses every subtree that
only one side has, and a subtree encodes itself once, so that a workspace of many packages costs
what has changed in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.pool.reapi import remote_execution_pb2 as reapi

MAX_ENTRIES = 4_000_000
"""Of a tree that is read. A directory that stands at many places is one in the message, so a few
bytes can mean more than any memory holds."""


class TreeConflictError(BuildNetError):
    """Two trees that are to be one hold different things at the same path."""

    code = "TREE_CONFLICT"
    exit_code = 2
    http_status = 409


class FileEntry(NamedTuple):
    """A regular file: its content's address, whether it is executable, and its permissions.

    ``mode`` holds unusual permission bits of an output; None are the usual ones, 0644 or 0755.
    Those of a source are always usual: only its executable bit counts.
    """

    digest: Digest
    executable: bool = False
    mode: int | None = None

    @classmethod
    def of(cls, digest: Digest, st_mode: int) -> FileEntry:
        """Return the entry of a file whose ``st_mode`` is given; set-user-id and the like go."""
        executable = bool(st_mode & 0o100)
        mode = st_mode & 0o777
        return cls(digest, executable, None if mode == _usual(executable) else mode)

    @property
    def permissions(self) -> int:
        """The permission bits that the file is to have."""
        return _usual(self.executable) if self.mode is None else self.mode


def _usual(executable: bool) -> int:
    return 0o755 if executable else 0o644


class LinkEntry(NamedTuple):
    """A symbolic link; ``target`` is kept as written and is relative."""

    target: str


Leaf = FileEntry | LinkEntry


class DirectoryTree:
    """An immutable directory: files, symbolic links and further directories by name.

    The constructor takes ownership of ``entries``; nobody may change the mapping afterwards.
    """

    __slots__ = ("_digest", "_encoded", "entries")

    def __init__(self, entries: Mapping[str, Leaf | DirectoryTree]) -> None:
        self.entries = entries
        self._encoded: bytes | None = None
        self._digest: Digest | None = None

    @classmethod
    def from_paths(cls, leaves: Mapping[str, Leaf]) -> DirectoryTree:
        """Build a tree from ``/``-separated relative paths to files and links."""
        root: dict[str, Leaf | dict[str, object]] = {}
        for path, leaf in leaves.items():
            *parents, name = path.split("/")
            here: dict[str, object] = root  # type: ignore[assignment]
            for parent in parents:
                below = here.setdefault(parent, {})
                if not isinstance(below, dict):
                    raise TreeConflictError(f"{path}: {parent} is a file and a directory")
                here = below
            if name in here:
                raise TreeConflictError(f"{path}: is a file and a directory")
            here[name] = leaf
        return cls._freeze(root)

    @classmethod
    def _freeze(cls, level: Mapping[str, object]) -> DirectoryTree:
        return cls(
            {
                name: cls._freeze(entry) if isinstance(entry, dict) else entry  # type: ignore[misc]
                for name, entry in level.items()
            }
        )

    def message(self) -> reapi.Directory:
        """Return this directory as a canonical ``Directory`` message (each kind sorted by name)."""
        directory = reapi.Directory()
        for name, entry in sorted(self.entries.items()):
            if isinstance(entry, FileEntry):
                node = directory.files.add(name=name, is_executable=entry.executable)
                node.digest.hash, node.digest.size_bytes = entry.digest
                if entry.mode is not None:
                    node.node_properties.unix_mode.value = entry.mode
            elif isinstance(entry, LinkEntry):
                directory.symlinks.add(name=name, target=entry.target)
            else:
                digest = entry.digest
                child = directory.directories.add(name=name)
                child.digest.hash, child.digest.size_bytes = digest
        return directory

    @property
    def encoded(self) -> bytes:
        """The canonical bytes of :meth:`message`."""
        if self._encoded is None:
            self._encoded = self.message().SerializeToString(deterministic=True)
        return self._encoded

    @property
    def digest(self) -> Digest:
        """Address of :attr:`encoded`."""
        if self._digest is None:
            self._digest = Digest.of(self.encoded)
        return self._digest

    def directories(self) -> Iterator[DirectoryTree]:
        """Yield this directory and all below it, parents first."""
        yield self
        for _, entry in sorted(self.entries.items()):
            if isinstance(entry, DirectoryTree):
                yield from entry.directories()

    def leaves(self, prefix: str = "") -> Iterator[tuple[str, Leaf]]:
        """Yield ``(path, file or link)`` of everything below, sorted within each directory."""
        for name, entry in sorted(self.entries.items()):
            if isinstance(entry, DirectoryTree):
                yield from entry.leaves(f"{prefix}{name}/")
            else:
                yield prefix + name, entry

    def files(self) -> list[Digest]:
        """Return the addresses of all files, those of equal files more than once."""
        return [leaf.digest for _, leaf in self.leaves() if isinstance(leaf, FileEntry)]

    def find(self, path: str) -> Leaf | DirectoryTree | None:
        """Return what stands at ``path`` (``""`` is the tree itself), or None."""
        here: Leaf | DirectoryTree | None = self
        for name in path.split("/") if path else ():
            if not isinstance(here, DirectoryTree):
                return None
            here = here.entries.get(name)
        return here

    def placed_at(self, path: str) -> DirectoryTree:
        """Return a tree that holds this one at ``path`` (``""`` returns the tree itself)."""
        tree = self
        for name in reversed(path.split("/")) if path else ():
            tree = DirectoryTree({name: tree})
        return tree

    def merged(self, other: DirectoryTree, at: str = "") -> DirectoryTree:
        """Return the union of two trees.

        Raises:
            TreeConflictError: a path is different things in the two trees.
        """
        if other is self or not other.entries:
            return self
        if not self.entries:
            return other
        entries = dict(self.entries)
        for name, theirs in other.entries.items():
            ours = entries.get(name)
            if ours is None or ours is theirs:
                entries[name] = theirs
            elif isinstance(ours, DirectoryTree) and isinstance(theirs, DirectoryTree):
                entries[name] = ours.merged(theirs, f"{at}{name}/")
            elif ours != theirs:
                raise TreeConflictError(
                    f"{at}{name}: two inputs of one action disagree about this path",
                    hint="let only one package produce or own the file",
                )
        return DirectoryTree(entries)

    def without(self, paths: Iterable[str]) -> DirectoryTree:
        """Return this tree without the files and links at ``paths``, nor directories that held
        nothing else."""
        below: dict[str, list[str]] = {}
        gone: set[str] = set()
        for path in paths:
            name, slash, rest = path.partition("/")
            if slash:
                below.setdefault(name, []).append(rest)
            else:
                gone.add(name)
        entries: dict[str, Leaf | DirectoryTree] = {}
        for name, entry in self.entries.items():
            if isinstance(entry, DirectoryTree):
                left = entry.without(below[name]) if name in below else entry
                if left.entries or not entry.entries:
                    entries[name] = left
            elif name not in gone:
                entries[name] = entry
        return DirectoryTree(entries) if len(below) + len(gone) else self

    def reusing(self, former: DirectoryTree | None) -> DirectoryTree:
        """Return this tree with those parts of ``former`` that are equal, encoded as they are."""
        if former is None or former is self:
            return self
        changed: dict[str, Leaf | DirectoryTree] = {}
        same = len(self.entries) == len(former.entries)
        for name, entry in self.entries.items():
            theirs = former.entries.get(name)
            if isinstance(entry, DirectoryTree) and isinstance(theirs, DirectoryTree):
                reused = entry.reusing(theirs)
                if reused is not entry:
                    changed[name] = reused
                same = same and reused is theirs
            elif same:
                same = entry == theirs
        if same:
            return former
        return DirectoryTree({**self.entries, **changed}) if changed else self

    def tree_message(self) -> reapi.Tree:
        """Return the tree as one ``Tree`` message: the root and each distinct directory below."""
        tree = reapi.Tree(root=self.message())
        seen = {self.digest}
        for directory in self.directories():
            if directory.digest not in seen:
                seen.add(directory.digest)
                tree.children.append(directory.message())
        return tree

    @classmethod
    def from_tree_message(cls, tree: reapi.Tree) -> DirectoryTree:
        """Read a ``Tree`` message.

        Raises:
            ValueError: a directory that is referred to is missing, a name is not a plain name, or
                there are more than :data:`MAX_ENTRIES`.
        """
        children = {
            Digest.of(child.SerializeToString(deterministic=True)): child for child in tree.children
        }
        read: dict[Digest, tuple[DirectoryTree, int]] = {}

        def directory(message: reapi.Directory, depth: int) -> tuple[DirectoryTree, int]:
            if depth > 256:
                raise ValueError("directories nest deeper than 256")
            count = len(message.files) + len(message.symlinks) + len(message.directories)
            entries: dict[str, Leaf | DirectoryTree] = {}
            for file in message.files:
                entries[plain_name(file.name)] = read_file_entry(file)
            for link in message.symlinks:
                entries[plain_name(link.name)] = LinkEntry(link.target)
            for node in message.directories:
                digest = Digest(node.digest.hash, node.digest.size_bytes)
                if digest not in read:
                    if digest not in children:
                        raise ValueError(f"directory {digest} is missing")
                    read[digest] = directory(children[digest], depth + 1)
                entries[plain_name(node.name)], below = read[digest]
                count += below
            if count > MAX_ENTRIES:
                raise ValueError(f"more than {MAX_ENTRIES:,} files and directories")
            return cls(entries), count

        return directory(tree.root, 0)[0]


EMPTY_TREE = DirectoryTree({})


def read_file_entry(file: reapi.FileNode | reapi.OutputFile) -> FileEntry:
    """Return the entry that a message describes."""
    digest = Digest(file.digest.hash, file.digest.size_bytes)
    if not file.HasField("node_properties"):
        return FileEntry(digest, file.is_executable)
    mode = file.node_properties.unix_mode.value & 0o777
    return FileEntry(digest, file.is_executable, mode)


def plain_name(name: str) -> str:
    """Return ``name`` if it can be one path component, else raise ValueError."""
    if not name or name in {".", ".."} or "/" in name or "\0" in name:
        raise ValueError(f"not a plain file name: {name!r}")
    return name


def merge_trees(trees: Iterable[DirectoryTree]) -> DirectoryTree:
    """Return the union of all ``trees``; see :meth:`DirectoryTree.merged`."""
    union = EMPTY_TREE
    for tree in trees:
        union = union.merged(tree)
    return union
